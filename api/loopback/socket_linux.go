package loopback

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// entry is a TCP socket of this machine.
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

// findSocket returns the socket at the other end of a connection. A socket that its process has closed, even only for
// writing, is not found.
func findSocket(remote, local netip.AddrPort) (entry, error) {
	found, err := querySocket(remote, local)
	switch {
	case errors.Is(err, unix.ENOENT):
		return entry{}, errNotFound
	case err != nil: // some sandboxes do not support the query
		return findInTable(remote, local)
	case found.state != stateEstablished || found.inode == 0 || found.local != remote || found.remote != local:
		return entry{}, errNotFound // such as the listener, if the connection is gone
	}
	return found, nil
}

// querySocket asks the kernel for a single socket. Reading the whole table would take long on a machine with thousands
// of sockets.
func querySocket(local, remote netip.AddrPort) (entry, error) {
	request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, 0)
	request.AddData(newSockRequest(local, remote))
	answers, err := kernel.execute(request)
	if err != nil {
		return entry{}, err
	}
	if len(answers) != 1 || len(answers[0]) < sockReplySize {
		return entry{}, errReply
	}
	return parseReply(answers[0]), nil
}

var errReply = errors.New("unexpected reply of the kernel")

// sockRequest selects one TCP socket by its addresses, or all sockets of a family without addresses: struct inet_diag_req_v2 of linux/inet_diag.h.
type sockRequest struct {
	family        byte
	local, remote netip.AddrPort
}

func newSockRequest(local, remote netip.AddrPort) sockRequest {
	if local.Addr().Is6() {
		return sockRequest{unix.AF_INET6, local, remote}
	}
	return sockRequest{unix.AF_INET, local, remote}
}

const (
	idSize          = 48 // size of struct inet_diag_sockid
	sockRequestSize = 8 + idSize
	sockReplySize   = 4 + idSize + 20 // size of struct inet_diag_msg
)

// Len implements [nl.NetlinkRequestData].
func (q sockRequest) Len() int { return sockRequestSize }

// Serialize implements [nl.NetlinkRequestData].
func (q sockRequest) Serialize() []byte {
	b := make([]byte, sockRequestSize)
	b[0], b[1] = q.family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], ^uint32(0)) // all states
	id := b[8:]
	binary.BigEndian.PutUint16(id, q.local.Port())
	binary.BigEndian.PutUint16(id[2:], q.remote.Port())
	copy(id[4:20], q.local.Addr().AsSlice())
	copy(id[20:36], q.remote.Addr().AsSlice())
	binary.NativeEndian.PutUint64(id[40:], ^uint64(0)) // any cookie
	return b
}

// parseReply parses struct inet_diag_msg.
func parseReply(b []byte) entry {
	size := 4
	if b[0] == unix.AF_INET6 {
		size = 16
	}
	id, rest := b[4:], b[4+idSize:]
	address := func(ip, port []byte) netip.AddrPort {
		addr, _ := netip.AddrFromSlice(ip[:size])
		return netip.AddrPortFrom(addr.Unmap(), binary.BigEndian.Uint16(port))
	}
	return entry{
		local: address(id[4:], id), remote: address(id[20:], id[2:]), state: fmt.Sprintf("%02X", b[1]),
		uid: int(binary.NativeEndian.Uint32(rest[12:])), inode: uint64(binary.NativeEndian.Uint32(rest[16:])),
	}
}

// findInTable looks for the socket in the table of all sockets.
func findInTable(remote, local netip.AddrPort) (entry, error) {
	entries, err := readTable()
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

// readEntries returns all TCP sockets in the network namespace of this process.
func readEntries() ([]entry, error) {
	var entries []entry
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		part, err := dumpSockets(family)
		if err != nil { // some sandboxes do not support the query, and IPv6 may be disabled
			return readTable()
		}
		entries = append(entries, part...)
	}
	return entries, nil
}

// dumpSockets asks the kernel for all TCP sockets of an address family. That takes a fraction of the time of readTable.
func dumpSockets(family byte) ([]entry, error) {
	request := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP)
	request.AddData(sockRequest{family: family})
	replies, err := kernel.execute(request)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(replies))
	for _, reply := range replies {
		if len(reply) < sockReplySize {
			return nil, errReply
		}
		entries = append(entries, parseReply(reply))
	}
	return entries, nil
}

// readTable reads the text form of the table of TCP sockets.
func readTable() (entries []entry, err error) {
	for _, name := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		file, err := os.Open(name)
		if os.IsNotExist(err) { // IPv6 may be disabled
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

// parseEntry parses a line of the table. ok is false for the heading.
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

// parseAddress parses an address in the format of the kernel: 32-bit words in host byte order.
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
		return netip.AddrPort{}, fmt.Errorf("%q is not an address", text)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(number)), nil
}
