package objects

import (
	"cmp"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/opencontainers/go-digest"
)

// diskCache keeps copies of objects in files, bounded in bytes. It evicts those that were not used for the longest time. The
// copies are never fsynced: after the death of a process, a file is verified before its first use.
type diskCache struct {
	folder string
	most   int64

	mu      sync.Mutex
	bytes   int64
	entries *simplelru.LRU[string, *cacheEntry] // by the names of files
}

type cacheEntry struct {
	size     int64
	verified bool
}

// maxCached is the number of files, so that a folder and the memory stay small whatever the sizes are.
const maxCached = 1 << 17

// openDiskCache opens the cache with the files that an earlier process left.
func openDiskCache(folder string, most int64) (*diskCache, error) {
	c := &diskCache{folder: folder, most: most}
	c.entries, _ = simplelru.NewLRU(maxCached, func(name string, e *cacheEntry) { // only fails for a size of zero
		c.bytes -= e.size
		_ = os.Remove(c.path(name)) // a file that stays is found when the folder is opened again
	})
	if err := os.MkdirAll(folder, folderMode); err != nil {
		return nil, err
	}
	files, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	var infos []fs.FileInfo
	for _, file := range files {
		if info, err := file.Info(); err == nil && info.Mode().IsRegular() {
			infos = append(infos, info)
		}
	}
	slices.SortFunc(infos, func(a, b fs.FileInfo) int { return cmp.Compare(a.ModTime().UnixNano(), b.ModTime().UnixNano()) })
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, info := range infos {
		c.insert(info.Name(), &cacheEntry{size: info.Size()})
	}
	return c, nil
}

func (c *diskCache) path(name string) string { return filepath.Join(c.folder, name) }

// fileName returns the name of the file of an object.
func fileName(key string) string { return strings.ReplaceAll(key, "/", "_") }

// insert adds an entry and evicts others. The caller holds c.mu.
func (c *diskCache) insert(name string, e *cacheEntry) {
	if old, found := c.entries.Peek(name); found {
		c.bytes -= old.size
	}
	c.entries.Add(name, e)
	c.bytes += e.size
	for c.bytes > c.most && c.entries.Len() > 0 {
		c.entries.RemoveOldest()
	}
}

// add moves a file with verified content into the cache. It returns false if the file is too large, or cannot be moved.
func (c *diskCache) add(key, path string, size int64) bool {
	name := fileName(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	if size > c.most || os.Rename(path, c.path(name)) != nil {
		return false
	}
	c.insert(name, &cacheEntry{size: size, verified: true})
	return true
}

// open returns the file of an object whose content has digest d, or nil. A damaged file is deleted.
func (c *diskCache) open(key string, size int64, d digest.Digest) *os.File {
	name := fileName(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	e, found := c.entries.Get(name)
	if !found {
		return nil
	}
	file, err := os.Open(c.path(name))
	if err == nil {
		var info fs.FileInfo
		if info, err = file.Stat(); err == nil && info.Size() != size {
			err = errDamaged
		}
	}
	if err == nil && !e.verified {
		c.mu.Unlock() // hashing may take long
		err = verifyFile(file, d)
		c.mu.Lock()
		e.verified = err == nil
	}
	if err != nil {
		if file != nil {
			file.Close()
		}
		if now, found := c.entries.Peek(name); found && now == e {
			c.entries.Remove(name)
		}
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(file.Name(), now, now) // the order of the next process
	return file
}

// verifyFile compares the content of a file with a digest.
func verifyFile(file *os.File, d digest.Digest) error {
	verifier := d.Verifier()
	if _, err := io.Copy(verifier, file); err != nil {
		return err
	}
	if !verifier.Verified() {
		return errWrongDigest(d)
	}
	_, err := file.Seek(0, io.SeekStart)
	return err
}

// drop deletes the file of an object, if there is one.
func (c *diskCache) drop(key string) {
	if key == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries.Remove(fileName(key))
}

// has reports whether the cache has a file of an object.
func (c *diskCache) has(key string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries.Contains(fileName(key))
}
