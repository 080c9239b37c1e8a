// Package backend defines what a store needs from its backends: [Blobs], which stores bytes under their digest, and
// [Index], which stores everything else. Package cache builds a complete store from one of each.
//
// The interfaces are a package of their own so that package cache can import the implementations, cache/files and
// cache/bolt, and they can import the interfaces.
package backend
