package bundle

import (
	"bytes"
	"encoding/json"
	"io"

	"airmirror/mirror"
)

// Limits restrict the memory that reading takes, and the amount of content. Fields that are zero have the defaults
// below.
type Limits struct {
	// Document is the maximum size of bundle.json in bytes. The default is 64 MiB.
	Document int64
	// Index is the maximum size of index.json and of manifest.json in bytes. The default is 32 MiB each.
	Index int64
	// Kept is the maximum number of bytes of image configs and manifests that are kept in memory until the end of an
	// archive of docker save. The default is 32 MiB.
	Kept int64
	// Entries is the maximum number of manifests and blobs, or of entries of an archive that is not a bundle. The
	// default is 262,144.
	Entries int
	// Window is the maximum memory of a decompressor in bytes. The default is 128 MiB, which is also the default of the
	// zstd tool.
	Window int64
	// MaxBytes is the maximum total size of manifests and blobs in bytes, as stated in their headers. It limits what a
	// small compressed archive can expand to. The default is no limit.
	MaxBytes int64
}

const (
	// maxSignature is the maximum size of bundle.json.minisig in bytes. Signatures of minisign have about 300 bytes.
	maxSignature = 16 << 10
	// maxIgnored is the maximum number of bytes of ignored files in an archive that is not a bundle. Packages contain
	// other files besides images. The limit stops archives that decompress endlessly.
	maxIgnored = 64 << 30
)

// withDefaults returns l with its defaults.
func (l Limits) withDefaults() Limits {
	fill := func(field *int64, value int64) {
		if *field <= 0 {
			*field = value
		}
	}
	fill(&l.Document, 64<<20)
	fill(&l.Index, 32<<20)
	fill(&l.Kept, 32<<20)
	fill(&l.Window, 128<<20)
	if l.Entries <= 0 {
		l.Entries = 1 << 18
	}
	return l
}

// read reads the entry name of size bytes, of which limit are allowed.
func read(r io.Reader, name string, size, limit int64) ([]byte, error) {
	if size > limit {
		return nil, invalid("%s is larger than %d bytes", name, limit)
	}
	data := make([]byte, size)
	_, err := io.ReadFull(r, data)
	return data, err
}

// decode decodes JSON into v, after checkCount.
func (l Limits) decode(name string, data []byte, v any) error {
	if err := l.checkCount(name, data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return &mirror.Error{Code: mirror.CodeBundleInvalid, Message: short(name) + " is invalid", Cause: err}
	}
	return nil
}

// checkCount rejects JSON with too many objects or values, because a few bytes of JSON can become a hundred times as
// many in memory. Package json limits the nesting.
func (l Limits) checkCount(name string, data []byte) error {
	var objects, values int
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = stringEnd(data, i)
		case '{', '[':
			objects++
		case ',':
			values++
		}
		if objects > 1000+4*l.Entries || values > 10000+8*l.Entries {
			return invalid("%s has too many elements", short(name))
		}
	}
	return nil
}

// stringEnd returns the index of the end of the string that begins at i, or len(data).
func stringEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		next := bytes.IndexAny(data[i:min(len(data), i+64)], `"\`)
		switch {
		case next < 0:
			i += 63
		case data[i+next] == '"':
			return i + next
		default:
			i += next + 1
		}
	}
	return len(data)
}

// invalid returns an error for invalid input.
func invalid(format string, args ...any) error {
	return mirror.Errorf(mirror.CodeBundleInvalid, format, args...)
}
