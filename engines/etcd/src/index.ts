export { type EtcdOptions, etcd, etcd as open } from './etcd.ts'
