package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// structure checks that a file is a tree of pages: each page in use is referred to once, is within the file, and has its
// keys in order.
type structure struct {
	file    io.ReaderAt
	meta    metaPage
	used    []uint64 // one bit for each page in use
	buffers [][]byte // by depth
}

// use marks the pages from id on as used.
func (c *structure) use(id, n uint64) error {
	if id < 2 || n > c.meta.end || id > c.meta.end-n {
		return fmt.Errorf("page %d is outside of the file", id)
	}
	for ; n > 0; id, n = id+1, n-1 {
		if c.isUsed(id) {
			return fmt.Errorf("page %d is used twice", id)
		}
		c.used[id/64] |= 1 << (id % 64)
	}
	return nil
}

func (c *structure) isUsed(id uint64) bool { return c.used[id/64]&(1<<(id%64)) != 0 }

// read reads a page of the tree. It is valid until the next page of the same depth is read.
func (c *structure) read(id uint64, depth int) (page, error) {
	if id < 2 || id >= c.meta.end {
		return page{}, fmt.Errorf("page %d is outside of the file", id)
	}
	for len(c.buffers) <= depth {
		c.buffers = append(c.buffers, make([]byte, c.meta.pageSize))
	}
	data := c.buffers[depth]
	at := int64(id) * c.meta.pageSize
	if _, err := c.file.ReadAt(data[:c.meta.pageSize], at); err != nil {
		return page{}, fmt.Errorf("page %d: %w", id, err)
	}
	n := uint64(order.Uint32(data[12:])) + 1
	if err := c.use(id, n); err != nil {
		return page{}, err
	}
	size := int64(n) * c.meta.pageSize
	if int64(len(data)) < size {
		data = append(data, make([]byte, size-int64(len(data)))...)
		c.buffers[depth] = data
	}
	if n > 1 {
		if _, err := c.file.ReadAt(data[c.meta.pageSize:size], at+c.meta.pageSize); err != nil {
			return page{}, fmt.Errorf("page %d: %w", id, err)
		}
	}
	p := page{data: data[:size]}
	if p.id() != id {
		return page{}, fmt.Errorf("page %d has the number %d", id, p.id())
	}
	return p, nil
}

// tableList checks the list of tables, and the tables.
func (c *structure) tableList() error {
	return c.tree(c.meta.root, 0, nil, nil, func(depth int, name, value []byte, flags uint32) error {
		if flags&bucketFlag == 0 {
			return fmt.Errorf("%q is not a table", name)
		}
		id, inline, err := bucketRoot(value)
		if err == nil && inline != nil {
			err = c.leaf(page{data: inline}, 0, nil, nil, noTables)
		} else if err == nil {
			err = c.tree(id, depth+1, nil, nil, noTables)
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", name, err)
		}
		return nil
	})
}

// noTables checks an entry of a table.
func noTables(_ int, key, _ []byte, flags uint32) error {
	if flags != 0 {
		return fmt.Errorf("key %q is a table", key)
	}
	return nil
}

// entryFunc checks an entry of a leaf.
type entryFunc func(depth int, key, value []byte, flags uint32) error

// maxDepth is more than the depth of any tree. A deeper one refers to itself.
const maxDepth = 100

// tree checks the tree below a page. Its keys are not less than low, and less than high, unless that is nil.
func (c *structure) tree(id uint64, depth int, low, high []byte, f entryFunc) error {
	if depth > maxDepth {
		return errors.New("the tree is too deep")
	}
	p, err := c.read(id, depth)
	if err != nil {
		return err
	}
	switch p.flags() {
	case leafFlag:
		return c.leaf(p, depth, low, high, f)
	case branchFlag:
		return c.branch(p, depth, low, high, f)
	}
	return fmt.Errorf("page %d is not a page of a table", id)
}

// element returns an element of a page.
func (p page) element(i int) (at int64, element []byte, err error) {
	at = int64(pageHeaderSize + i*elementSize)
	if element = p.slice(at, elementSize); element == nil {
		return 0, nil, fmt.Errorf("page %d is shorter than its elements", p.id())
	}
	return at, element, nil
}

func (c *structure) branch(p page, depth int, low, high []byte, f entryFunc) error {
	type child struct {
		key []byte
		id  uint64
	}
	children := make([]child, p.count())
	before := low
	for i := range children {
		at, element, err := p.element(i)
		if err != nil {
			return err
		}
		key := p.slice(at+int64(order.Uint32(element)), int64(order.Uint32(element[4:])))
		if err := checkKey(p, key, before, high, i == 0); err != nil {
			return err
		}
		children[i], before = child{key, order.Uint64(element[8:])}, key
	}
	if len(children) == 0 {
		return fmt.Errorf("page %d is a branch without children", p.id())
	}
	for i, below := range children {
		next := high
		if i+1 < len(children) {
			next = children[i+1].key
		}
		if err := c.tree(below.id, depth+1, below.key, next, f); err != nil {
			return err
		}
	}
	return nil
}

func (c *structure) leaf(p page, depth int, low, high []byte, f entryFunc) error {
	before := low
	for i := range p.count() {
		at, element, err := p.element(i)
		if err != nil {
			return err
		}
		start, size := at+int64(order.Uint32(element[4:])), int64(order.Uint32(element[8:]))
		key, value := p.slice(start, size), p.slice(start+size, int64(order.Uint32(element[12:])))
		if value == nil {
			return fmt.Errorf("page %d has an invalid value", p.id())
		}
		if err := checkKey(p, key, before, high, i == 0); err != nil {
			return err
		}
		if err := f(depth, key, value, order.Uint32(element)); err != nil {
			return err
		}
		before = key
	}
	return nil
}

// checkKey checks that a key is greater than the one before it, or not less than the lower limit if it is the first.
func checkKey(p page, key, before, high []byte, first bool) error {
	if key == nil {
		return fmt.Errorf("page %d has an invalid key", p.id())
	}
	if order := bytes.Compare(before, key); order > 0 || order == 0 && !first || high != nil && bytes.Compare(key, high) >= 0 {
		return fmt.Errorf("the keys of page %d are not in order", p.id())
	}
	return nil
}

// freeList checks the list of free pages, if the file has one. Pages that are neither in use nor in the list are lost,
// which does no harm.
func (c *structure) freeList() error {
	if c.meta.freeList == noFreeList {
		return nil
	}
	p, err := c.read(c.meta.freeList, 0)
	if err != nil {
		return fmt.Errorf("list of free pages: %w", err)
	}
	if p.flags() != freeListFlag {
		return fmt.Errorf("page %d is not a list of free pages", p.id())
	}
	count, at := int64(p.count()), int64(pageHeaderSize)
	if count == 0xffff { // then the first number is the count
		if first := p.slice(at, 8); first != nil {
			count, at = int64(order.Uint64(first)), at+8
		}
	}
	if count < 0 || count > int64(len(p.data))/8 {
		return errors.New("the list of free pages is shorter than it says")
	}
	list := p.slice(at, count*8)
	if list == nil {
		return errors.New("the list of free pages is shorter than it says")
	}
	for before := uint64(1); len(list) > 0; list = list[8:] {
		id := order.Uint64(list)
		if id <= before || id >= c.meta.end || c.isUsed(id) {
			return fmt.Errorf("the list of free pages has page %d, which is not free", id)
		}
		before = id
	}
	return nil
}
