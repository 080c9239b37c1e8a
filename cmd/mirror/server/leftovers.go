package server

import (
	"errors"
	"os"
	"path/filepath"

	"go.uber.org/zap"
)

// leftovers are the patterns of files in a data folder that a server removes before it ends, unless it is killed.
var leftovers = []string{
	spoolPattern,
	readyFile,
	filepath.Join("incoming", readyFile),
	filepath.Join("blobs", "*", readyFile),
}

// removeLeftovers removes what a killed server left in a data folder that belongs to this process. The packages cache and
// files remove theirs.
func removeLeftovers(data string, log *zap.Logger) {
	for _, pattern := range leftovers {
		paths, _ := filepath.Glob(filepath.Join(escapeGlob(data), pattern)) // the patterns are valid
		for _, path := range paths {
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
