// Package cachetest contains the test suites for the contracts of the store: [Blobs] and [Index] for the backends of
// package cache, and [Store] for implementations of [airmirror/mirror.Store]. [SharedIndex] and [SharedStore] test what several
// nodes use at the same time.
package cachetest
