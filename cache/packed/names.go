package packed

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"airmirror/cache/backend"
)

// number identifies a repository. It is written in 1, 2, 3 or 4 bytes; the number of leading ones in the first byte is
// the number of bytes that follow. Numbers in this form have the same order as the numbers, and none is a prefix of
// another. 0 is not assigned.
type number uint32

// maxNumber is the greatest number that has a form.
const maxNumber number = 1<<28 - 1

func (n number) append(b []byte) []byte {
	switch {
	case n < 1<<7:
		return append(b, byte(n))
	case n < 1<<14:
		return binary.BigEndian.AppendUint16(b, uint16(n)|0x8000)
	case n < 1<<21:
		return append(b, byte(n>>16)|0xc0, byte(n>>8), byte(n))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)|0xe0000000)
}

// cutNumber decodes a number at the beginning of key. It returns 0 if there is none in its shortest form.
func cutNumber(key string) (n number, rest string) {
	if key == "" {
		return 0, ""
	}
	size, first := 1, key[0]
	for ; first >= 0x80 && size < 5; first <<= 1 {
		size++
	}
	if size > 4 || len(key) < size {
		return 0, key
	}
	for i := range size {
		n = n<<8 | number(key[i])
	}
	switch size {
	case 2:
		n &= 1<<14 - 1
	case 3:
		n &= 1<<21 - 1
	case 4:
		n &= 1<<28 - 1
	}
	if size > 1 && n < 1<<(7*(size-1)) {
		return 0, key
	}
	return n, key[size:]
}

// lastNumber is the key of the number that was assigned last. It is the form of the number 0.
const lastNumber = "\x00"

// numbersLock is the lock of an update that assigns a number. It is taken when the number is needed, because most updates
// assign none.
const numbersLock = "numbers of repositories"

// nameCache has the numbers of repositories that committed transactions have assigned. They never change.
type nameCache struct {
	mu      *sync.RWMutex
	numbers map[string]number
	names   map[number]string
}

func newNameCache() nameCache {
	return nameCache{mu: new(sync.RWMutex), numbers: make(map[string]number), names: make(map[number]string)}
}

func (c nameCache) number(name string) number {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.numbers[name]
}

func (c nameCache) name(n number) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.names[n]
}

func (c nameCache) add(name string, n number) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.numbers[name], c.names[n] = n, name
}

// number returns the number of a repository; 0 if it has none.
func (t *readTx) number(name string) number {
	if n := t.index.names.number(name); n != 0 {
		return n
	}
	value := t.tx.Get(tableNames, name)
	n, rest := cutNumber(string(value))
	if rest != "" {
		return 0
	}
	t.remember(name, n)
	return n
}

// name returns the name of a repository; "" if the number was not assigned.
func (t *readTx) name(n number) string {
	if n == 0 {
		return ""
	}
	if name := t.index.names.name(n); name != "" {
		return name
	}
	name := string(t.tx.Get(tableIDs, string(n.append(nil))))
	if name == "" {
		name = t.lostName(n)
	}
	t.remember(name, n)
	return name
}

// lostName searches the names for a number that has lost its own entry.
func (t *readTx) lostName(n number) string {
	if t.lost == nil {
		t.lost = make(map[number]string)
		for name, value := range t.tx.Scan(tableNames, "", "") {
			if n, rest := cutNumber(string(value)); n != 0 && rest == "" {
				t.lost[n] = name
			}
		}
	}
	return t.lost[n]
}

// remember adds a number to the cache, unless its transaction may still be rolled back.
func (t *readTx) remember(name string, n number) {
	if t.committed && name != "" && n != 0 {
		t.index.names.add(name, n)
	}
}

// errNumbers reports an index in which a number could be assigned twice, which would mix two repositories.
var errNumbers = errors.New("the numbers of repositories in the index are damaged: make a new index with 'mirror verify --rebuild'")

// assign assigns a number to a repository that has none.
func (t *writeTx) assign(name string) error {
	// Another update may be assigning a number to it, or to another repository.
	if err := t.tx.Lock(numbersLock); err != nil || t.number(name) != 0 {
		return err
	}
	var last number
	value := t.tx.Get(tableIDs, lastNumber)
	if value != nil {
		var rest string
		if last, rest = cutNumber(string(value)); last == 0 || rest != "" {
			return errNumbers
		}
	} else if hasAny(t.tx, tableIDs) || hasAny(t.tx, tableNames) {
		return errNumbers
	}
	n := last + 1
	if n > maxNumber {
		return fmt.Errorf("the index has %d names of repositories and cannot have more: make a new index with 'mirror verify --rebuild'", last)
	}
	form := n.append(nil)
	if t.tx.Get(tableIDs, string(form)) != nil {
		return errNumbers
	}
	return errors.Join(t.tx.Put(tableIDs, lastNumber, form), t.tx.Put(tableIDs, string(form), []byte(name)), t.tx.Put(tableNames, name, form))
}

func hasAny(tx backend.ReadTx, table backend.Table) bool {
	for range tx.Scan(table, "", "") {
		return true
	}
	return false
}
