export { open, type ZookeeperOptions, zookeeper } from './zookeeper.ts'
