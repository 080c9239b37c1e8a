package loopback

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
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
	holders := j.holders(client.inode)
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

// maxClients limits how many processes are remembered as clients.
const maxClients = 16

// holders returns the processes that hold a socket. A process that was the only holder of another socket a moment ago is
// inspected first: clients open several connections, and a search through all processes takes milliseconds on a busy
// machine.
func (j *Checker) holders(inode uint64) []process {
	for pid, until := range j.clients {
		if time.Now().After(until) {
			delete(j.clients, pid)
		} else if p := openFiles(pid); slices.Contains(p.inodes, inode) {
			return []process{p}
		}
	}
	all := socketHolders(inode)
	if len(all) == 1 && len(j.clients) < maxClients {
		j.clients[all[0].pid] = time.Now().Add(trustTTL)
	}
	return all
}

// socketHolders returns the processes that hold a socket, of those that this process can inspect.
func socketHolders(inode uint64) (holders []process) {
	link := []byte("socket:[" + strconv.FormatUint(inode, 10) + "]")
	all, _ := os.ReadDir("/proc")
	for _, dir := range all {
		if _, err := strconv.ParseUint(dir.Name(), 10, 32); err != nil {
			continue
		}
		holds := false
		eachFile(dir.Name(), func(target []byte) (more bool) {
			holds = bytes.Equal(target, link)
			return !holds
		})
		if holds {
			holders = append(holders, openFiles(dir.Name()))
		}
	}
	return holders
}

// openFiles returns the sockets and devices that a process has open.
func openFiles(pid string) process {
	p := process{pid: pid}
	eachFile(pid, func(target []byte) bool {
		if number, ok := strings.CutPrefix(string(target), "socket:["); ok {
			if inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64); err == nil {
				p.inodes = append(p.inodes, inode)
			}
		}
		p.tunnel = p.tunnel || string(target) == tunDevice
		return true
	})
	return p
}

// eachFile calls visit with the link target of each file descriptor of a process until it returns false. The target is
// only valid during the call.
func eachFile(pid string, visit func(target []byte) (more bool)) {
	folder, err := os.Open(filepath.Join("/proc", pid, "fd"))
	if err != nil {
		return
	}
	defer folder.Close()
	names, _ := folder.Readdirnames(-1)
	buf := make([]byte, 256) // longer targets are files that do not matter here
	for _, name := range names {
		if n, err := unix.Readlinkat(int(folder.Fd()), name, buf); err == nil && !visit(buf[:n]) {
			return
		}
	}
}
