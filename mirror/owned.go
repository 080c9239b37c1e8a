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

// Role is how a manifest names a digest.
type Role int

// The roles, in the order of [References.Owned].
const (
	// RoleBlob is a blob that a push must bring.
	RoleBlob Role = iota
	// RoleNondistributable is a layer that clients may fetch from a URL in the manifest.
	RoleNondistributable
	// RoleManifest is an entry of an index with the media type of a manifest.
	RoleManifest
	// RoleEntry is any other entry of an index.
	RoleEntry
	// RoleNamed is content that the JSON names anywhere else.
	RoleNamed
)

// Owned yields everything that belongs to the manifest: all that its JSON names by digest except its subject. The
// collector keeps it, and copies of the manifest include it. A digest may be yielded more than once.
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

// LooksLikeManifest reports whether mediaType is known or seems to be that of a manifest. Unknown types of manifests
// have "manifest" in their names, such as those of Docker's schema 1 and of ORAS. An empty media type seems to be one,
// too, since most entries of an index are manifests.
func LooksLikeManifest(mediaType string) bool {
	mediaType = strings.ToLower(bareMediaType(mediaType))
	return mediaType == "" || KnownManifestType(mediaType) || strings.Contains(mediaType, "manifest") || strings.Contains(mediaType, "image.index")
}

// named adds what the document names by digest and no list of refs has. It searches the document only if there are more
// digests than descriptors, which is rare.
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

// object is a JSON object or array that digestsIn is inside of.
type object struct {
	array     bool
	mediaType string
	size      int64
	digests   []digest.Digest
}

// digestsIn yields the strings called digest or blobSum at any depth of valid JSON, with the media type and the size
// beside them. The size is -1 if there is none. withoutSubject skips the subject of the document. The time is linear in
// the size, however deep objects are nested.
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

// take handles a member of an object, whose value begins at i. It returns where to continue.
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

// keyName returns the text of a quoted string, or "" if it is too long to matter. It takes no more memory than that,
// however many escapes there are.
func keyName(quoted []byte) string {
	const most = 1000 // a digest or a media type, with all characters escaped
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

// escaped maps the characters after a backslash in JSON to their meaning.
var escaped = map[byte]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// hex decodes hexadecimal digits.
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
