package bundle

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"math"
	"path"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

const (
	maxName    = 512      // bytes of a name; sha512 digests have the longest names
	maxHeader  = 4 << 20  // bytes of a header with its extensions
	maxHeaders = 4 << 10  // average bytes of a header with its extensions
	maxTail    = 16 << 20 // zero bytes after the end mark
)

// archiveSource reads image layouts and archives of docker save. It yields entries before it knows what they are,
// because index.json and manifest.json may be at the end. They may be in a folder of the archive, and there may be
// other files.
type archiveSource struct {
	in             *stream
	tar            *tar.Reader
	limits         Limits
	contents       contents
	layout         bool     // an oci-layout was read
	absolute       bool     // names begin with a slash; either all names must, or none
	nestedArchives []string // names of the first files that are archives

	entries                  int
	headers                  int64 // size of all headers in bytes
	totalBytes, ignoredBytes int64 // size of entries and of ignored files
	remaining                int64 // bytes of the current entry and its padding that package tar has to skip
	sparse                   bool  // the current entry is a sparse file
	start                    int64 // offset of the content of the current entry
	entry                    *Entry
	err                      error
}

func newArchive(in *stream, limits Limits) *archiveSource {
	a := &archiveSource{in: in, limits: limits, contents: newContents(limits)}
	if in.seek != nil {
		a.tar = tar.NewReader(seekable{in})
	} else {
		a.tar = tar.NewReader(in)
	}
	return a
}

func (a *archiveSource) offset() int64 { return a.in.pos }
func (a *archiveSource) Close() error  { return nil }

func (a *archiveSource) kind() Kind {
	if a.layout || a.contents.hasIndex() {
		return KindLayout
	}
	return KindDocker
}

func (a *archiveSource) setDigest(e *Entry, d digest.Digest) { a.contents.setDigest(e.name, d) }

func (a *archiveSource) roots() ([]Root, error) {
	if a.err != io.EOF {
		return nil, invalid("the archive was not read to its end")
	}
	return a.contents.roots()
}

func (a *archiveSource) next() (entry *Entry, err error) {
	a.entry = nil
	for a.err == nil && entry == nil {
		entry, a.err = a.advance()
	}
	a.entry = entry
	return entry, a.err
}

// advance reads the next entry of the tar, and returns it if the caller has to store it.
func (a *archiveSource) advance() (*Entry, error) {
	h, err := a.header()
	if err == io.EOF {
		return nil, a.end()
	}
	if err != nil {
		return nil, err
	}
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil, nil
	}
	name, err := a.name(h.Name)
	if err != nil {
		return nil, err
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeGNUSparse:
		return a.file(name, h.Size)
	case tar.TypeDir:
		return nil, nil
	case tar.TypeSymlink:
		return nil, a.link(name, path.Dir(name), h.Linkname)
	case tar.TypeLink:
		return nil, a.link(name, "", h.Linkname)
	}
	return nil, invalid("entry %q has type %q, which an archive of images cannot have", name, h.Typeflag)
}

// name returns the name of an entry relative to the top of the archive. If names are absolute, the top is the root.
func (a *archiveSource) name(name string) (string, error) {
	if a.entries == 1 {
		a.absolute = strings.HasPrefix(name, "/")
	}
	if a.absolute {
		name = strings.TrimLeft(name, "/")
	}
	return entryName(name)
}

// header returns the next header, or io.EOF at the end mark.
func (a *archiveSource) header() (*tar.Header, error) {
	if a.sparse { // its length in the tar is known at its end only
		if _, err := io.Copy(io.Discard, a.tar); err != nil {
			return nil, a.in.explain(err)
		}
		a.start, a.remaining, a.sparse = a.in.pos, block-1, false
	}
	next := a.start + a.remaining // some of these bytes may have been read
	a.in.limit = next + maxHeader
	h, err := a.tar.Next()
	a.in.limit = 0
	if err == io.EOF && a.in.pos <= next {
		return nil, truncated(a.in.pos) // package tar accepts a missing end mark
	}
	if err != nil {
		if err == io.EOF {
			return nil, err
		}
		return nil, a.in.explain(err)
	}
	a.entries++
	a.headers += a.in.pos - next
	if a.entries > a.limits.Entries {
		return nil, invalid("the archive has more than %d entries", a.limits.Entries)
	}
	if a.headers > int64(a.entries)*maxHeaders+maxHeader {
		return nil, invalid("the archive has %d bytes of headers for %d entries, which is too much", a.headers, a.entries)
	}
	a.start, a.remaining = a.in.pos, 0
	if h.Size > math.MaxInt64/4 {
		return nil, invalid("entry %q has %d bytes", short(h.Name), h.Size)
	}
	a.sparse = isSparse(h)
	if h.Typeflag == tar.TypeReg && !a.sparse {
		a.remaining = h.Size + padding(h.Size)
	}
	return h, nil
}

func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// file processes a file, and returns it if the caller has to store it.
func (a *archiveSource) file(name string, size int64) (*Entry, error) {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if Ignored(name) {
		return nil, a.ignore(size)
	}
	if d, inBlobs := digestInName(name); inBlobs {
		if d == "" || a.contents.hasBlob(d) { // a temporary file, or a duplicate
			return nil, a.ignore(size)
		}
		a.contents.folder(dirOfBlobs(name)).blobs = true
		return a.entryOf(name, size, d)
	}
	switch {
	case base == LayoutName:
		a.layout = true
		return nil, a.readFile(name, size, a.contents.readLayout)
	case base == IndexName:
		return nil, a.readFile(name, size, a.contents.readIndex)
	case base == DockerName:
		return nil, a.readFile(name, size, a.contents.readDocker)
	case base == DocumentName && (dir == "." || a.layout):
		return nil, invalid("this is a bundle that was changed, or unpacked and packed again: use the original file")
	case base == PackageName:
		a.contents.zarf[dir] = true
		return nil, a.ignore(size)
	case a.layout, name == "repositories", base == "VERSION", base == "json":
		return nil, a.ignore(size)
	}
	return a.entryOf(name, size, "")
}

// ignore counts a file that is not needed.
func (a *archiveSource) ignore(size int64) error {
	if a.ignoredBytes += size; a.ignoredBytes > maxIgnored || a.limits.MaxBytes > 0 && a.ignoredBytes > a.limits.MaxBytes {
		return invalid("the archive has more than %d bytes that belong to no image", min(a.ignoredBytes-1, int64(maxIgnored)))
	}
	return nil
}

// link records a link. A link with a digest as its name is ignored if it refers to a file with the same digest.
func (a *archiveSource) link(name, dir, target string) error {
	if Ignored(name) {
		return nil
	}
	if d, inBlobs := digestInName(name); d != "" {
		if other, _ := digestInName(path.Join("blobs", d.Algorithm().String(), path.Base(target))); other == d && !path.IsAbs(target) {
			return nil
		}
	} else if inBlobs {
		return nil
	}
	return a.contents.link(name, dir, target)
}

// readFile reads a file that identifies the kind of the archive. In a folder, a file of that name may be unrelated to
// images, so its errors are only recorded.
func (a *archiveSource) readFile(name string, size int64, take func(dir string, data []byte) error) error {
	dir := path.Dir(name)
	if dir != "." && size > a.limits.Index {
		return a.ignore(size)
	}
	data, err := read(a.tar, name, size, a.limits.Index)
	if err != nil {
		return a.in.explain(err)
	}
	err = take(dir, data)
	if err != nil && dir != "." {
		a.contents.folder(dir).failed = errors.Join(a.contents.folder(dir).failed, err)
		return nil
	}
	return err
}

// entryOf returns a file that the caller has to store. It keeps a copy of JSON that may be needed at the end.
func (a *archiveSource) entryOf(name string, size int64, d digest.Digest) (*Entry, error) {
	if a.totalBytes += size; a.limits.MaxBytes > 0 && a.totalBytes > a.limits.MaxBytes {
		return nil, invalid("the archive has more than the allowed %d bytes", a.limits.MaxBytes)
	}
	start := make([]byte, min(size, FormatSize))
	if _, err := io.ReadFull(a.tar, start); err != nil {
		return nil, a.in.explain(err)
	}
	if d == "" && len(a.nestedArchives) < 5 && FormatOf(start).Archive {
		a.nestedArchives = append(a.nestedArchives, name)
	}
	e := &Entry{Digest: d, Size: size, source: a, name: name}
	what := file{digest: d, size: size, compression: compression(start)}
	content := io.MultiReader(bytes.NewReader(start), a.tar)
	if size <= mirror.MaxManifestSize && bytes.HasPrefix(start, []byte("{")) && a.contents.hasRoom(size) {
		data := make([]byte, size)
		if _, err := io.ReadFull(content, data); err != nil {
			return nil, a.in.explain(err)
		}
		if d == "" {
			what.digest = digest.FromBytes(data)
			e.Digest = what.digest
		} else if d.Algorithm().FromBytes(data) != d {
			return nil, invalid("the content of %s does not match its digest: it is damaged", name)
		}
		a.contents.keep(what.digest, data)
		content = bytes.NewReader(data)
	}
	e.Manifest = a.contents.listed[e.Digest]
	e.Reader = &archiveEntryReader{a: a, e: e, r: content, rest: size}
	return e, a.contents.add(name, what)
}

// end checks that only padding follows the end mark and that there are images. It returns io.EOF if so.
func (a *archiveSource) end() error {
	buf := make([]byte, 32<<10)
	for tail := 0; tail <= maxTail; {
		n, err := a.in.Read(buf)
		if len(bytes.Trim(buf[:n], "\x00")) > 0 {
			return invalid("the archive has data after its end, before byte %d", a.in.pos)
		}
		tail += n
		if err == io.EOF {
			if err := a.contents.finish(); err != nil {
				return err
			}
			if a.contents.index == nil && a.contents.docker == nil {
				return a.noImages()
			}
			return io.EOF
		}
		if err != nil {
			return a.in.explain(err)
		}
	}
	return invalid("the archive has too many zero bytes after its end")
}

// noImages returns the error for an archive without images.
func (a *archiveSource) noImages() error {
	hint := ""
	if len(a.nestedArchives) > 0 {
		hint = "; it contains archives, e.g. " + strings.Join(a.nestedArchives, ", ") + ": unpack it and import the folder"
	}
	return invalid("the archive is neither an image layout with an %s nor an archive of docker save with a %s%s", IndexName, DockerName, hint)
}

// entryName checks and cleans the name of an entry.
func entryName(name string) (string, error) {
	if len(name) > maxName {
		return "", invalid("the name of entry %q is longer than %d bytes", short(name), maxName)
	}
	if strings.HasPrefix(name, "/") || strings.ContainsAny(name, "\\\x00") {
		return "", invalid("entry %q has a name that an archive of images cannot have", name)
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == ".." {
			return "", invalid("entry %q points out of the archive", name)
		}
	}
	return path.Clean(name), nil
}

// archiveEntryReader reads the content of an entry.
type archiveEntryReader struct {
	a    *archiveSource
	e    *Entry
	r    io.Reader
	rest int64
}

func (r *archiveEntryReader) Read(p []byte) (int, error) {
	if r.a.entry != r.e {
		return 0, errEntryClosed
	}
	if r.rest == 0 {
		return 0, io.EOF
	}
	n, err := r.r.Read(p)
	r.rest -= int64(n)
	if err == io.EOF && r.rest == 0 {
		return n, nil
	}
	return n, r.a.in.explain(err)
}
