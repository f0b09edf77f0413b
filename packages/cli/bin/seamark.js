#!/usr/bin/env node
// Committed, not built: npm links a package's commands at install time, when a fresh clone has no `dist` yet.
// biome-ignore lint/style/noRestrictedImports: it is this package's own
import '../dist/main.js'
