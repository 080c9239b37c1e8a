package cache

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/packed"
)

// The binary form of a record begins with a byte that has recordMark and up to five flags; so it is never '{', with which
// JSON begins. The fields follow:
//
//   - A number is an unsigned varint.
//   - A time is 8 bytes: the nanoseconds since 1970, or zeroTime.
//   - A digest is as in keys, see [packed.AppendDigest]; or a zero byte and text.
//   - A text is its length and its bytes. A text that often occurs is a number, see knownTexts.
const (
	recordMark = 0x40
	flagMask   = 0x1f

	zeroTime = math.MinInt64 // the zero time
)

// recordWriter encodes a record.
type recordWriter struct {
	b   []byte
	err error
}

func appendFields(fields record) ([]byte, error) {
	w := &recordWriter{b: make([]byte, 0, 64)}
	fields.append(w)
	return w.b, w.err
}

func (w *recordWriter) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

// flags writes the first byte.
func (w *recordWriter) flags(flags ...bool) {
	first := byte(recordMark)
	for i, flag := range flags {
		if flag {
			first |= 1 << i
		}
	}
	w.b = append(w.b, first)
}

// number writes a number that is not negative.
func (w *recordWriter) number(n int64) {
	if n < 0 {
		w.fail("%d is negative", n)
		n = 0
	}
	w.b = binary.AppendUvarint(w.b, uint64(n))
}

func (w *recordWriter) time(at time.Time) {
	n := int64(zeroTime)
	if !at.IsZero() {
		if n = at.UnixNano(); !time.Unix(0, n).Equal(at) {
			w.fail("%s is not within 292 years of 1970", at)
		}
	}
	w.b = binary.BigEndian.AppendUint64(w.b, uint64(n))
}

func (w *recordWriter) text(text string) {
	w.number(int64(len(text)))
	w.b = append(w.b, text...)
}

func (w *recordWriter) digest(d digest.Digest) {
	var ok bool
	if w.b, ok = packed.AppendDigest(w.b, d); !ok {
		w.b = append(w.b, 0)
		w.text(string(d))
	}
}

func (w *recordWriter) digests(list []digest.Digest) {
	w.number(int64(len(list)))
	for _, d := range list {
		w.digest(d)
	}
}

// recordReader decodes a record. After an error, it returns zero values.
type recordReader struct {
	rest  []byte
	first byte
	err   error
}

var (
	errRecordShort = errors.New("the record is shorter than its fields")
	errRecordForm  = errors.New("the record has an unknown form")
)

func readFields(fields record, value []byte) error {
	r := &recordReader{rest: value}
	if len(value) == 0 || value[0]&^flagMask != recordMark {
		return errRecordForm
	}
	r.first, r.rest = value[0], value[1:]
	fields.read(r)
	if r.err == nil && len(r.rest) > 0 {
		return errors.New("the record is longer than its fields")
	}
	return r.err
}

func (r *recordReader) fail(err error) {
	if r.err == nil {
		r.err, r.rest = err, nil
	}
}

// flag returns a flag of the first byte.
func (r *recordReader) flag(i int) bool { return r.first&(1<<i) != 0 }

// known fails if the first byte has another flag than the first n.
func (r *recordReader) known(n int) {
	if r.first&flagMask>>n != 0 {
		r.fail(errRecordForm)
	}
}

// take returns the next n bytes; nil after an error.
func (r *recordReader) take(n int64) []byte {
	if n < 0 || n > int64(len(r.rest)) {
		r.fail(errRecordShort)
		return nil
	}
	taken := r.rest[:n]
	r.rest = r.rest[n:]
	return taken
}

func (r *recordReader) number() int64 {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > math.MaxInt64 {
		r.fail(errRecordShort)
		return 0
	}
	r.rest = r.rest[size:]
	return int64(n)
}

func (r *recordReader) time() time.Time {
	b := r.take(8)
	if b == nil {
		return time.Time{}
	}
	n := int64(binary.BigEndian.Uint64(b))
	if n == zeroTime {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

func (r *recordReader) text() string { return string(r.take(r.number())) }

func (r *recordReader) digest() digest.Digest {
	var space [160]byte
	text, rest, ok := packed.AppendDigestText(space[:0], r.rest)
	if ok {
		r.rest = rest
		return digest.Digest(text)
	}
	if first := r.take(1); first != nil && first[0] != 0 {
		r.fail(errors.New("the record has an unknown digest"))
	}
	return digest.Digest(r.text())
}

// digests appends a list of digests to list.
func (r *recordReader) digests(list []digest.Digest) []digest.Digest {
	n := r.number()
	if n > int64(len(r.rest)) { // each takes more than a byte
		r.fail(errRecordShort)
		return list
	}
	if list == nil && n > 0 {
		list = make([]digest.Digest, 0, n)
	}
	for ; n > 0 && r.err == nil; n-- {
		list = append(list, r.digest())
	}
	return list
}
