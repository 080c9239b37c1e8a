// Package cachetest has the suites that every implementation of a contract of the store must pass: [Blobs] and [Index]
// for the backends of package cache, [Store] for all that implement [airmirror/mirror.Store].
package cachetest
