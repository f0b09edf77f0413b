#!/usr/bin/env node
// Committed, not built: npm links a package's commands at install time, when a fresh clone has no `dist` yet.
import '../dist/main.js'
