package bolt

import (
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
)

// The file format of bbolt, in the byte order of the machine; see its package internal/common.
const (
	pageHeaderSize = 16
	elementSize    = 16 // of leaves and of branches
	bucketSize     = 16
	metaSize       = 64
	metaMagic      = 0xED0CDAED
	metaVersion    = 2

	branchFlag   = 0x01 // of pages
	leafFlag     = 0x02
	freeListFlag = 0x10
	bucketFlag   = 0x01 // of elements of a leaf

	noFreeList = 1<<64 - 1 // instead of a page, if the list of free pages is not in the file
)

var order = binary.NativeEndian

// page is a page with its overflow pages, or the inline page in the value of a small bucket.
type page struct {
	data []byte
}

func (p page) id() uint64    { return order.Uint64(p.data) }
func (p page) flags() uint16 { return order.Uint16(p.data[8:]) }
func (p page) count() int    { return int(order.Uint16(p.data[10:])) }

// slice returns n bytes at an offset, or nil if the page is shorter.
func (p page) slice(at, n int64) []byte {
	if at < 0 || n < 0 || at+n > int64(len(p.data)) {
		return nil
	}
	return p.data[at : at+n]
}

// keyRange is the range of keys that a page may contain: from low up to, but not including, high. An empty string is
// no limit.
type keyRange struct{ low, high string }

func (l keyRange) contains(key string) bool { return key >= l.low && (l.high == "" || key < l.high) }

// roots returns the root pages of the table list: of the newest transaction and of the one before it. Pages that only
// the older one uses are not overwritten before the next transaction.
func (s *salvage) roots() ([]uint64, error) {
	info, err := s.file.Stat()
	if err != nil {
		return nil, err
	}
	s.size = info.Size()
	newer, older := readMetas(s.file)
	if s.pageSize = newer.pageSize; s.pageSize == 0 {
		return nil, errors.New("the file has no valid meta page: nothing in it can be read")
	}
	if older.pageSize != newer.pageSize {
		return []uint64{newer.root}, nil
	}
	return []uint64{newer.root, older.root}, nil
}

// metaPage is the root of the tree after a transaction.
type metaPage struct {
	transaction, root uint64
	freeList          uint64 // the page of the list of free pages
	end               uint64 // every page in use is before it
	pageSize          int64
}

// readMetas returns the meta pages of the newest transaction and of the one before it. A zero value is not valid.
func readMetas(file io.ReaderAt) (newer, older metaPage) {
	for shift := 9; shift <= 17; shift++ { // the second meta page is at offset pageSize, which it contains
		for _, at := range []int64{0, 1 << shift} {
			found, ok := readMeta(file, at)
			switch {
			case !ok || found == newer:
			case found.transaction > newer.transaction || newer.pageSize == 0:
				newer, older = found, newer
			default:
				older = found
			}
		}
	}
	return newer, older
}

// readMeta reads the meta page at an offset. It reports false if there is no valid one.
func readMeta(file io.ReaderAt, at int64) (metaPage, bool) {
	data := make([]byte, pageHeaderSize+metaSize)
	if _, err := file.ReadAt(data, at); err != nil {
		return metaPage{}, false
	}
	meta := data[pageHeaderSize:]
	sum := fnv.New64a()
	_, _ = sum.Write(meta[:56]) // never fails
	size := int64(order.Uint32(meta[8:]))
	if order.Uint32(meta) != metaMagic || order.Uint32(meta[4:]) != metaVersion || order.Uint64(meta[56:]) != sum.Sum64() ||
		at != 0 && at != size || size < pageHeaderSize+metaSize {
		return metaPage{}, false
	}
	return metaPage{
		transaction: order.Uint64(meta[48:]),
		root:        order.Uint64(meta[16:]),
		freeList:    order.Uint64(meta[32:]),
		end:         order.Uint64(meta[40:]),
		pageSize:    size,
	}, true
}

// bucketRoot returns the root page of a bucket, or the inline page of a small bucket.
func bucketRoot(value []byte) (id uint64, inline []byte, err error) {
	if len(value) < bucketSize {
		return 0, nil, errors.New("invalid bucket")
	}
	if id = order.Uint64(value); id != 0 {
		return id, nil, nil
	}
	if inline = value[bucketSize:]; len(inline) < pageHeaderSize {
		return 0, nil, errors.New("invalid bucket")
	}
	return 0, inline, nil
}

// readPage reads a page with its overflow pages.
func (s *salvage) readPage(id uint64) (page, error) {
	if id > uint64(s.size/s.pageSize) {
		return page{}, errors.New("beyond the end of the file")
	}
	if s.seen[id] {
		return page{}, errors.New("more than once in the tree")
	}
	s.seen[id] = true
	header := make([]byte, pageHeaderSize)
	at := int64(id) * s.pageSize
	if _, err := s.file.ReadAt(header, at); err != nil {
		return page{}, err
	}
	p := page{data: header}
	if p.id() != id || p.flags() != branchFlag && p.flags() != leafFlag {
		return page{}, errors.New("not a page of a table")
	}
	length := (int64(order.Uint32(header[12:])) + 1) * s.pageSize
	if at+length > s.size {
		return page{}, errors.New("truncated by the end of the file")
	}
	p.data = make([]byte, length)
	_, err := s.file.ReadAt(p.data, at)
	return p, err
}

// walk calls f with each entry of the leaves below a page. what names the table in errors.
func (s *salvage) walk(id uint64, what string, within keyRange, f func(key string, flags uint32, value []byte) error) error {
	if err := s.ctx.Err(); err != nil {
		return err
	}
	p, err := s.readPage(id)
	if err != nil {
		s.addUnread("%s: page %d cannot be read: %w", what, id, err)
		return nil
	}
	return s.walkPage(p, what, within, f)
}

// walkPage is walk for a page that was read.
func (s *salvage) walkPage(p page, what string, within keyRange, f func(key string, flags uint32, value []byte) error) error {
	if p.flags() == leafFlag {
		return s.walkLeaf(p, what, within, f)
	}
	type child struct {
		key string
		id  uint64
	}
	var children []child
	for i := range p.count() {
		at := int64(pageHeaderSize + i*elementSize)
		element := p.slice(at, elementSize)
		if element == nil {
			s.addUnread("%s: page %d is shorter than its elements", what, p.id())
			break
		}
		key := p.slice(at+int64(order.Uint32(element)), int64(order.Uint32(element[4:])))
		if key == nil {
			s.addUnread("%s: page %d has an invalid key", what, p.id())
		}
		children = append(children, child{string(key), order.Uint64(element[8:])})
	}
	for i, c := range children {
		below := within
		if i > 0 { // the first child also contains all smaller keys
			below.low = max(within.low, c.key)
		}
		if i+1 < len(children) && children[i+1].key != "" {
			below.high = children[i+1].key
		}
		if err := s.walk(c.id, what, below, f); err != nil {
			return err
		}
	}
	return nil
}

// walkLeaf calls f with each entry of a leaf.
func (s *salvage) walkLeaf(p page, what string, within keyRange, f func(key string, flags uint32, value []byte) error) error {
	before := ""
	for i := range p.count() {
		at := int64(pageHeaderSize + i*elementSize)
		element := p.slice(at, elementSize)
		if element == nil {
			s.addUnread("%s: page %d is shorter than its elements", what, p.id())
			break
		}
		start, size := at+int64(order.Uint32(element[4:])), int64(order.Uint32(element[8:]))
		key, value := p.slice(start, size), p.slice(start+size, int64(order.Uint32(element[12:])))
		name := string(key)
		if key == nil || value == nil || name <= before && i > 0 || !within.contains(name) {
			s.addUnread("%s: entry %d of page %d is invalid", what, i, p.id())
			continue
		}
		before = name
		if err := f(name, order.Uint32(element), value); err != nil {
			return err
		}
	}
	return nil
}
