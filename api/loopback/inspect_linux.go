package loopback

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// tunDevice is the device with which a process can forward the traffic of whole networks.
const tunDevice = "/dev/net/tun"

// process is a process that holds a socket.
type process struct {
	pid    string
	inodes []uint64 // of its sockets
	tunnel bool
}

func (p process) String() string {
	name, _ := os.ReadFile(filepath.Join("/proc", p.pid, "comm"))
	return fmt.Sprintf("%q (process %s)", strings.TrimSpace(string(name)), p.pid)
}

// inspect returns why the process at the other end of a connection may be a proxy.
func (j *Checker) inspect(client entry) error {
	own := os.Geteuid()
	switch {
	case client.uid != 0 && client.uid != own:
		return fmt.Errorf("the process belongs to user ID %d, which is neither root nor the mirror's user", client.uid)
	case client.uid != own && own != 0:
		return fmt.Errorf("the process belongs to root, and the mirror does not run as root, so it cannot see whether that is a proxy")
	}
	holders := socketHolders(client.inode)
	if len(holders) == 0 {
		return errNotFound
	}
	entries, err := readEntries()
	if err != nil {
		return err
	}
	for _, p := range holders {
		if why := j.passesOn(p, entries); why != "" {
			return fmt.Errorf("%s %s, so it may be a proxy", p, why)
		}
	}
	return nil
}

// passesOn returns what enables a process to forward requests of others, or "".
func (j *Checker) passesOn(p process, entries []entry) string {
	if p.tunnel {
		return "has a virtual network device"
	}
	listening := make(map[uint16]bool)
	for _, e := range entries {
		if e.state == stateListen {
			listening[e.local.Port()] = true
		}
	}
	var own []uint64
	for _, e := range entries {
		switch {
		case !slices.Contains(p.inodes, e.inode):
		case e.state == stateListen && !j.upstreams[e.local.Port()]:
			return "listens on " + e.local.String()
		case e.state == stateListen || !listening[e.local.Port()]:
		default:
			if own == nil {
				own = append(openFiles("self").inodes, p.inodes...) // the process may be this one, as in tests
			}
			if !isOther(e, entries, own) {
				return "has accepted a connection from " + e.remote.String()
			}
		}
	}
	return ""
}

// isOther reports whether the other end of a connection is one of these sockets.
func isOther(of entry, entries []entry, inodes []uint64) bool {
	return slices.ContainsFunc(entries, func(e entry) bool {
		return e.local == of.remote && e.remote == of.local && slices.Contains(inodes, e.inode)
	})
}

// socketHolders returns the processes that hold a socket, of those that this process can inspect.
func socketHolders(inode uint64) (holders []process) {
	all, _ := os.ReadDir("/proc")
	for _, dir := range all {
		if _, err := strconv.ParseUint(dir.Name(), 10, 32); err != nil {
			continue
		}
		if p := openFiles(dir.Name()); slices.Contains(p.inodes, inode) {
			holders = append(holders, p)
		}
	}
	return holders
}

// openFiles returns the sockets and devices that a process has open.
func openFiles(pid string) process {
	p := process{pid: pid}
	folder := filepath.Join("/proc", pid, "fd")
	open, _ := os.ReadDir(folder)
	for _, fd := range open {
		target, _ := os.Readlink(filepath.Join(folder, fd.Name()))
		if number, ok := strings.CutPrefix(target, "socket:["); ok {
			if inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64); err == nil {
				p.inodes = append(p.inodes, inode)
			}
		}
		p.tunnel = p.tunnel || target == tunDevice
	}
	return p
}
