package bundle

import (
	"bytes"
	"encoding/json"
	"io"

	"airmirror/mirror"
)

// Limits say how much of what is read is kept in memory, and how much is read at all. The zero value works: fields that
// are zero mean what is written there.
type Limits struct {
	// Document is how large bundle.json may be, in bytes; 64 MiB.
	Document int64
	// Index is how large index.json and manifest.json may be, each, in bytes; 32 MiB.
	Index int64
	// Kept is how many bytes of image configs and manifests of an archive by docker save may be kept until it is known
	// what they belong to; 32 MiB.
	Kept int64
	// Entries is how many manifests and blobs, or entries of an archive that is no bundle, there may be; 262,144.
	Entries int
	// Window is how many bytes of what was decompressed a decompressor may keep in memory, as a file asks it to; 128 MiB,
	// which zstd itself allows unless it is told otherwise.
	Window int64
	// MaxBytes is how many bytes all manifests and blobs may have, as their entries announce them; no limit if it is 0.
	// What decompresses to more is refused by it, however small it came.
	MaxBytes int64
}

const (
	// maxSignature is how large bundle.json.minisig may be; minisign's are some 300 bytes.
	maxSignature = 16 << 10
	// maxIgnored is how many bytes of files that nobody needs may be in an archive that is no bundle: packages have other
	// things beside their images. It ends what decompresses to no end.
	maxIgnored = 64 << 30
)

// filled returns l with its defaults.
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

// read reads the entry name, which has size bytes and may have most.
func read(r io.Reader, name string, size, most int64) ([]byte, error) {
	if size > most {
		return nil, invalid("%s is larger than %d bytes", name, most)
	}
	data := make([]byte, size)
	_, err := io.ReadFull(r, data)
	return data, err
}

// decode reads JSON into v, if that is believable.
func (l Limits) decode(name string, data []byte, v any) error {
	if err := l.checkCount(name, data); err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return &mirror.Error{Code: mirror.CodeBundleInvalid, Message: short(name) + " is not what it should be", Cause: err}
	}
	return nil
}

// believe refuses JSON with more objects or values than anything has that is not made to harm: in memory, a few bytes of
// JSON can become a hundred times as many. How deep it may be is for package json to say.
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
			return invalid("%s has more in it than is believable", short(name))
		}
	}
	return nil
}

// stringEnd returns where the string that begins at i ends, or the data.
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

// invalid makes the error of malformed input.
func invalid(format string, args ...any) error {
	return mirror.Errorf(mirror.CodeBundleInvalid, format, args...)
}
