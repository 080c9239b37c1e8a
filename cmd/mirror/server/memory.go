package server

import (
	"io/fs"
	"math"
	"os"
	"path"
	"runtime/debug"
	"strconv"
	"strings"

	"go.uber.org/zap"
)

// limitMemory sets the soft memory limit of the Go runtime to nine tenths of the limit of the control group, as of a pod,
// a container or a systemd unit. GOMEMLIMIT overrides it.
func limitMemory(log *zap.Logger) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if limit := groupMemory(os.DirFS("/")); limit > 0 {
		debug.SetMemoryLimit(limit / 10 * 9)
		log.Info("memory is limited", zap.Int64("bytes", limit))
	}
}

// groupMemory returns the memory limit of the control group of this process in bytes, the lowest of the group and its
// parents; 0 if there is none. It reads control groups of versions 1 and 2. In a container, the group is the root.
func groupMemory(root fs.FS) (limit int64) {
	groups, _ := fs.ReadFile(root, "proc/self/cgroup")
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		mount, file := "sys/fs/cgroup", "memory.max"
		switch parts[1] {
		case "":
		case "memory":
			mount, file = "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		default:
			continue
		}
		for group := path.Join("/", parts[2]); ; group = path.Dir(group) {
			limit = lowerLimit(limit, readLimit(root, path.Join(mount, group, file)))
			if group == "/" {
				break
			}
		}
	}
	return limit
}

// readLimit reads a limit; 0 if there is none. Version 1 has a number near the maximum for no limit.
func readLimit(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	limit, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || limit <= 0 || limit > math.MaxInt64/2 {
		return 0
	}
	return limit
}

// lowerLimit returns the lower of two limits, where 0 is no limit.
func lowerLimit(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
