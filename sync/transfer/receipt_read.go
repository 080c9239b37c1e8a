package transfer

import (
	"encoding/json"
	"errors"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// maxElement is the maximum size of an element of a receipt in bytes, and of unknown members.
const maxElement = 256 << 10

// ReceiptEntry is an element of a receipt. Exactly one field is set.
type ReceiptEntry struct {
	Head       *ReceiptHead // always the first entry
	Imported   *ImportedBundle
	Repository *ReceiptRepository
	Tag        *ReceiptTag
	Manifest   *ReceiptManifest
	Blob       digest.Digest
}

// ReadReceipt yields the elements of a receipt in the order in which they were written. It keeps one element in memory.
// The last error is an error of r, or [mirror.CodeUnsupported] if the receipt is invalid or truncated.
func ReadReceipt(r io.Reader) iter.Seq2[ReceiptEntry, error] {
	return func(yield func(ReceiptEntry, error) bool) {
		in := &receiptReader{bound: &boundedReader{r: mirror.TextReader(r), left: maxElement}, yield: yield}
		in.json = json.NewDecoder(in.bound)
		if err := in.read(); err != nil && err != errStopped {
			yield(ReceiptEntry{}, in.explain(err))
		}
	}
}

// errStopped ends the reading when the caller stops the iteration.
var errStopped = errors.New("iteration stopped")

var errNoReceipt = errors.New("it does not begin like a receipt")

var errBound = errors.New("it has an element that is too large")

// boundedReader limits how much the JSON decoder can read, and so keep in memory, for one element.
type boundedReader struct {
	r    io.Reader
	left int
	err  error // of r
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errBound
	}
	n, err := b.r.Read(p[:min(len(p), b.left)])
	b.left -= n
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

type receiptReader struct {
	bound *boundedReader
	json  *json.Decoder
	head  ReceiptHead
	yield func(ReceiptEntry, error) bool
}

func (in *receiptReader) explain(err error) error {
	if in.bound.err != nil {
		return in.bound.err
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return mirror.Errorf(mirror.CodeUnsupported, "the receipt cannot be read: %w", err)
}

func (in *receiptReader) read() error {
	if err := in.delimiter('{'); err != nil {
		return err
	}
	for in.json.More() {
		name, err := in.json.Token()
		if err != nil {
			return err
		}
		if err := in.member(name.(string)); err != nil {
			return err
		}
		in.bound.left = maxElement
	}
	if in.head.Created.IsZero() {
		return errNoReceipt
	}
	return in.delimiter('}')
}

func (in *receiptReader) delimiter(want json.Delim) error {
	token, err := in.json.Token()
	if err == nil && token != want {
		err = errors.New("unexpected JSON")
	}
	return err
}

func (in *receiptReader) member(name string) error {
	switch name {
	case "version":
		return in.json.Decode(&in.head.Version)
	case "mirror":
		return in.json.Decode(&in.head.Mirror)
	case "host":
		return in.json.Decode(&in.head.Host)
	case "created":
		if err := in.json.Decode(&in.head.Created); err != nil {
			return err
		}
		return in.checkHead()
	case "imported":
		return elements(in, func(v *ImportedBundle) ReceiptEntry { return ReceiptEntry{Imported: v} })
	case "repositories":
		return elements(in, func(v *ReceiptRepository) ReceiptEntry { return ReceiptEntry{Repository: v} })
	case "tags":
		return elements(in, func(v *ReceiptTag) ReceiptEntry { return ReceiptEntry{Tag: v} })
	case "manifests":
		return elements(in, func(v *ReceiptManifest) ReceiptEntry { return ReceiptEntry{Manifest: v} })
	case "blobs":
		return elements(in, func(v *digest.Digest) ReceiptEntry { return ReceiptEntry{Blob: *v} })
	}
	var unknown json.RawMessage
	return in.json.Decode(&unknown)
}

func (in *receiptReader) checkHead() error {
	if in.head.Version < 1 || in.head.Mirror == "" {
		return errNoReceipt
	}
	if in.head.Version > receiptVersion {
		return errors.New("it was written by a newer version of this program")
	}
	return in.emit(ReceiptEntry{Head: &in.head})
}

func (in *receiptReader) emit(e ReceiptEntry) error {
	if !in.yield(e, nil) {
		return errStopped
	}
	return nil
}

// elements yields the elements of a list.
func elements[T any](in *receiptReader, entry func(*T) ReceiptEntry) error {
	if in.head.Created.IsZero() {
		return errNoReceipt
	}
	if err := in.delimiter('['); err != nil {
		return err
	}
	for in.json.More() {
		v := new(T)
		if err := in.json.Decode(v); err != nil {
			return err
		}
		if err := in.emit(entry(v)); err != nil {
			return err
		}
		in.bound.left = maxElement
	}
	return in.delimiter(']')
}
