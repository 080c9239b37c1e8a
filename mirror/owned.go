package mirror

import (
	"bytes"
	"iter"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// Role says what a digest is to the manifest that names it.
type Role int

// The roles, in the order in which [References.Owned] yields them.
const (
	// RoleBlob is a blob that a push must bring.
	RoleBlob Role = iota
	// RoleNondistributable is a layer that clients may fetch from a URL in the manifest.
	RoleNondistributable
	// RoleManifest is a child of an index whose media type is that of a manifest.
	RoleManifest
	// RoleEntry is a child of an index whose media type is not that of a manifest.
	RoleEntry
	// RoleNamed is what the JSON names in any other place.
	RoleNamed
)

// Owned yields everything that belongs to the manifest: whatever its JSON names by digest, except for its subject. The
// collector keeps it, and whoever copies the manifest copies it as well. A digest may come more than once.
func (refs *References) Owned() iter.Seq2[Role, v1.Descriptor] {
	return func(yield func(Role, v1.Descriptor) bool) {
		for role, list := range [...][]v1.Descriptor{refs.Blobs, refs.Nondistributable, refs.Manifests, refs.Entries, refs.Named} {
			for _, desc := range list {
				if !yield(Role(role), desc) {
					return
				}
			}
		}
	}
}

// Children yields the entries of an index, whatever their media types.
func (refs *References) Children() iter.Seq[v1.Descriptor] {
	return func(yield func(v1.Descriptor) bool) {
		for _, list := range [...][]v1.Descriptor{refs.Manifests, refs.Entries} {
			for _, desc := range list {
				if !yield(desc) {
					return
				}
			}
		}
	}
}

// LooksLikeManifest reports whether a media type is that of a manifest, as far as its name tells. Manifests of types
// that are not known have the word in their names, as those of Docker's schema 1 and of ORAS. No media type sounds like a
// manifest, too: that is what most entries of an index are.
func LooksLikeManifest(mediaType string) bool {
	mediaType = strings.ToLower(bareMediaType(mediaType))
	return mediaType == "" || KnownManifestType(mediaType) || strings.Contains(mediaType, "manifest") || strings.Contains(mediaType, "image.index")
}

// named reads what the document names by digest and no list of refs has yet. It is read only if there is more than was
// read already, which is so for hardly any image or index.
func (doc *document) named(r *reading, refs *References) error {
	if doc.data == nil || bytes.Count(doc.data, []byte(`"digest"`))+bytes.Count(doc.data, []byte(`"blobSum"`)) <= r.descriptors {
		return nil
	}
	return doc.allNamed(r, refs)
}

func (doc *document) allNamed(r *reading, refs *References) error {
	known := make(map[digest.Digest]bool)
	for _, desc := range refs.Owned() {
		known[desc.Digest] = true
	}
	for desc := range digestsIn(doc.data, refs.Subject != nil) {
		if _, err := ParseDigest(desc.Digest.String()); err != nil || known[desc.Digest] {
			continue
		}
		known[desc.Digest] = true
		if r.descriptors++; r.descriptors > maxDescriptors {
			return errDescriptors
		}
		refs.Named = append(refs.Named, desc)
	}
	return nil
}

// object is a JSON object or array that digestsIn is in.
type object struct {
	array     bool
	mediaType string
	size      int64
	digests   []digest.Digest
}

// digestsIn yields what strings called digest or blobSum are at any depth of valid JSON, with the media type and the size
// that stand beside them. The size is -1 where there is none. withoutSubject passes over the document's subject. The time
// that it takes grows with the bytes alone, however deep objects are nested.
func digestsIn(data []byte, withoutSubject bool) iter.Seq[v1.Descriptor] {
	return func(yield func(v1.Descriptor) bool) {
		var open []object
		for i := 0; i < len(data); {
			switch data[i] {
			case '{', '[':
				open = append(open, object{array: data[i] == '[', size: -1})
				i++
			case '}', ']':
				last := open[len(open)-1]
				open = open[:len(open)-1]
				for _, d := range last.digests {
					if !yield(v1.Descriptor{MediaType: last.mediaType, Digest: d, Size: last.size}) {
						return
					}
				}
				i++
			case '"':
				end := stringEnd(data, i)
				colon := space(data, end)
				if len(open) == 0 || colon == len(data) || data[colon] != ':' {
					i = end
					continue
				}
				name, value := keyName(data[i:end]), space(data, colon+1)
				if withoutSubject && len(open) == 1 && strings.EqualFold(name, "subject") {
					i = valueEnd(data, value)
					continue
				}
				i = open[len(open)-1].take(name, data, value)
			default:
				i++
			}
		}
	}
}

// take notes a member of an object, whose value begins at i, and returns where reading goes on.
func (o *object) take(name string, data []byte, i int) int {
	text := data[i] == '"'
	switch {
	case text && (strings.EqualFold(name, "digest") || strings.EqualFold(name, "blobSum")):
		end := stringEnd(data, i)
		o.digests = append(o.digests, digest.Digest(keyName(data[i:end])))
		return end
	case text && strings.EqualFold(name, "mediaType"):
		end := stringEnd(data, i)
		o.mediaType = keyName(data[i:end])
		return end
	case strings.EqualFold(name, "size"):
		end := valueEnd(data, i)
		if size, err := strconv.ParseInt(string(data[i:min(end, i+20)]), 10, 64); err == nil && size >= 0 {
			o.size = size
			return end
		}
	}
	return i
}

// keyName returns what a quoted string says, or "" if it is too long to be of interest. It needs no more memory than that,
// however many escapes there are.
func keyName(quoted []byte) string {
	const most = 1000 // a digest or a media type, all escaped
	if len(quoted) > most {
		return ""
	}
	text := quoted[1 : len(quoted)-1]
	if bytes.IndexByte(text, '\\') < 0 {
		return string(text)
	}
	var room [most]byte
	plain := room[:0]
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '\\':
			plain = append(plain, text[i])
		case text[i+1] == 'u':
			plain = utf8.AppendRune(plain, rune(hex(text[i+2:i+6])))
			i += 5
		default:
			i++
			plain = append(plain, escaped[text[i]])
		}
	}
	return string(plain)
}

// escaped are the characters that follow a backslash in JSON, and what they stand for.
var escaped = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// hex reads hexadecimal digits.
func hex(digits []byte) (n int) {
	for _, c := range digits {
		switch {
		case c >= 'a':
			n = n<<4 + int(c-'a') + 10
		case c >= 'A':
			n = n<<4 + int(c-'A') + 10
		default:
			n = n<<4 + int(c-'0')
		}
	}
	return n
}
