package loopback

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// entry is a TCP socket of this machine, as /proc/net/tcp has it.
type entry struct {
	local, remote netip.AddrPort
	state         string
	uid           int
	inode         uint64
}

const (
	stateEstablished = "01"
	stateListen      = "0A"
)

// find returns the socket at the other end of a connection. One that its process has closed, be it for sending, is none.
// The kernel is asked for that socket alone, because each new connection is judged: a table of thousands takes long to read.
func find(remote, local netip.AddrPort) (entry, error) {
	socket, err := netlink.SocketGet(net.TCPAddrFromAddrPort(remote), net.TCPAddrFromAddrPort(local))
	switch {
	case errors.Is(err, unix.ENOENT):
		return entry{}, errNotFound
	case err != nil: // it does not answer that in every sandbox
		return findInTable(remote, local)
	}
	found := entry{local: remote, remote: local, uid: int(socket.UID), inode: uint64(socket.INode)}
	if socket.State != netlink.TCP_ESTABLISHED || socket.INode == 0 || socketAddress(socket.ID.Source, socket.ID.SourcePort) != remote ||
		socketAddress(socket.ID.Destination, socket.ID.DestinationPort) != local {
		return entry{}, errNotFound // such as the listener, in place of a connection that is gone
	}
	return found, nil
}

func socketAddress(ip net.IP, port uint16) netip.AddrPort {
	addr, _ := netip.AddrFromSlice(ip)
	return netip.AddrPortFrom(addr.Unmap(), port)
}

// findInTable looks for the socket among all.
func findInTable(remote, local netip.AddrPort) (entry, error) {
	entries, err := readEntries()
	if err != nil {
		return entry{}, err
	}
	for _, e := range entries {
		if e.local == remote && e.remote == local && e.state == stateEstablished && e.inode != 0 {
			return e, nil
		}
	}
	return entry{}, errNotFound
}

// readEntries returns all TCP sockets of the network that this process is in.
func readEntries() (entries []entry, err error) {
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		file, err := os.Open(name)
		if os.IsNotExist(err) { // without IPv6
			continue
		}
		if err != nil {
			return nil, err
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if e, ok := parseEntry(lines.Text()); ok {
				entries = append(entries, e)
			}
		}
		file.Close()
		if lines.Err() != nil {
			return nil, fmt.Errorf("%s: %w", name, lines.Err())
		}
	}
	return entries, nil
}

// parseEntry reads a line; the heading is none.
func parseEntry(line string) (e entry, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 10 {
		return e, false
	}
	var errs [4]error
	e.local, errs[0] = parseAddress(fields[1])
	e.remote, errs[1] = parseAddress(fields[2])
	e.state = fields[3]
	e.uid, errs[2] = strconv.Atoi(fields[7])
	e.inode, errs[3] = strconv.ParseUint(fields[9], 10, 64)
	return e, errs == [4]error{}
}

// parseAddress reads an address as the kernel writes it: words of four bytes, each as a number of this machine.
func parseAddress(text string) (netip.AddrPort, error) {
	address, port, _ := strings.Cut(text, ":")
	number, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	words, err := hex.DecodeString(address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	for i := 0; i+4 <= len(words); i += 4 {
		binary.NativeEndian.PutUint32(words[i:], binary.BigEndian.Uint32(words[i:]))
	}
	addr, ok := netip.AddrFromSlice(words)
	if !ok {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", text)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), nil
}
