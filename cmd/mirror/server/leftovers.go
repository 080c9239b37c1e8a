package server

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.uber.org/zap"
)

// leftovers are the patterns of files in a data folder that a process removes before it ends, unless it is killed.
var leftovers = []string{
	spoolPattern,
	".htpasswd-*", // see durable.Replace
	readyFile,
	filepath.Join("incoming", readyFile),
	filepath.Join("blobs", "*", readyFile),
}

// minLeftoverAge is the least age of files that are removed: 'mirror user' may be writing one.
const minLeftoverAge = time.Minute

// removeLeftovers removes what a killed process left in a data folder that belongs to this process. The packages below cache
// remove theirs.
func removeLeftovers(data string, log *zap.Logger) {
	for _, pattern := range leftovers {
		paths, _ := filepath.Glob(filepath.Join(escapeGlob(data), pattern)) // the patterns are valid
		for _, path := range paths {
			if info, err := os.Lstat(path); err != nil || time.Since(info.ModTime()) < minLeftoverAge && !info.ModTime().After(time.Now()) {
				continue
			}
			if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
				log.Warn("cannot remove what a server that was killed left behind", zap.Error(err))
			}
		}
	}
}

// escapeGlob returns a pattern that matches a path only.
func escapeGlob(path string) string {
	var escaped []byte
	for _, c := range []byte(path) {
		if c == '*' || c == '?' || c == '[' {
			escaped = append(escaped, '[', c, ']')
			continue
		}
		escaped = append(escaped, c)
	}
	return string(escaped)
}
