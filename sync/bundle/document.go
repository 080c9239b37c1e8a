package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// encode encodes bundle.json. It is indented for human readers.
func (doc *Document) encode() ([]byte, error) {
	data, err := json.MarshalIndent(doc, "", "\t")
	return append(data, '\n'), err
}

// identify computes the ID of the document.
func (doc *Document) identify() (string, error) {
	plain := *doc
	plain.ID, plain.Host, plain.Tool, plain.Created = "", "", "", time.Time{}
	data, err := json.Marshal(plain)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}

// readDocument decodes and checks bundle.json.
func readDocument(data []byte, limits Limits) (*Document, error) {
	doc := new(Document)
	if err := limits.decode(DocumentName, data, doc); err != nil {
		return nil, err
	}
	if doc.Version > FormatVersion {
		return nil, invalid("the bundle has version %d, and this program reads versions up to %d: use a newer program", doc.Version, FormatVersion)
	}
	if err := doc.check(limits); err != nil {
		return nil, err
	}
	if id, err := doc.identify(); err != nil || id != doc.ID {
		return nil, invalid("%s has the ID %q, and should have %s", DocumentName, short(doc.ID), id)
	}
	return doc, nil
}

// check returns an error if the document is invalid or contradicts itself.
func (doc *Document) check(limits Limits) error {
	c := documentChecker{files: map[digest.Digest]bool{}, repos: map[string]bool{}}
	if doc.Version < 1 || doc.Sequence < 0 {
		return invalid("%s has version %d and sequence %d", DocumentName, doc.Version, doc.Sequence)
	}
	c.texts(doc.ID, doc.Source, doc.Host, doc.Destination, doc.Tool)
	for _, from := range doc.BuildsOn {
		c.texts(from.ID)
	}
	c.ownFiles(doc.Files, limits)
	for _, repo := range doc.Repositories {
		c.repository(repo.Name)
	}
	for _, m := range doc.Manifests {
		c.manifest(m)
	}
	for _, b := range doc.Blobs {
		c.file(b, math.MaxInt64)
	}
	if n := len(doc.Manifests) + len(doc.Blobs); n > limits.Entries {
		c.fail("%s lists %d manifests and blobs, more than %d", DocumentName, n, limits.Entries)
	}
	if limits.MaxBytes > 0 && c.total > limits.MaxBytes {
		c.fail("the bundle has %d bytes, and %d are allowed", c.total, limits.MaxBytes)
	}
	for _, a := range doc.Assumes {
		c.assumed(a)
	}
	c.images(doc.Images)
	return c.err
}

// documentChecker checks a document and keeps the first error.
type documentChecker struct {
	files map[digest.Digest]bool // true for manifests
	repos map[string]bool
	total int64
	err   error
}

func (c *documentChecker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = invalid(format, args...)
	}
}

// maxText is the maximum length of a text in bytes.
const maxText = 1000

// Text makes untrusted text, such as the platforms of an image, acceptable for a document: printable, and at most 1000
// bytes.
func Text(s string) string {
	s = mirror.Printable(s)
	if len(s) <= maxText {
		return s
	}
	s = s[:maxText-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// texts checks texts that are shown to people.
func (c *documentChecker) texts(texts ...string) {
	for _, s := range texts {
		if len(s) > maxText || strings.ContainsFunc(s, unicode.IsControl) {
			c.fail("%s has a text that is too long or has control characters: %q", DocumentName, short(s))
		}
	}
}

func (c *documentChecker) ownFiles(files map[string]File, limits Limits) {
	for name, f := range files {
		if name != LayoutName && name != IndexName && name != DockerName {
			c.fail("%s lists the file %q, which a bundle cannot have", DocumentName, short(name))
		}
		if _, err := mirror.ParseDigest(f.Digest.String()); err != nil || f.Size < 0 || f.Size > limits.Index {
			c.fail("%s lists %s with digest %q and %d bytes", DocumentName, short(name), short(f.Digest.String()), f.Size)
		}
	}
	layout := File{Digest: digest.FromString(LayoutJSON), Size: int64(len(LayoutJSON))}
	if _, ok := files[IndexName]; !ok || files[LayoutName] != layout {
		c.fail("%s does not list %s and %s", DocumentName, LayoutName, IndexName)
	}
}

func (c *documentChecker) repository(name string) {
	if _, err := mirror.ParseRepo(name); err != nil {
		c.fail("%s: %w", DocumentName, err)
	} else if c.repos[name] {
		c.fail("%s lists the repository %s twice", DocumentName, name)
	}
	c.repos[name] = true
}

// file checks an entry of at most limit bytes.
func (c *documentChecker) file(f File, limit int64) {
	if _, err := mirror.ParseDigest(f.Digest.String()); err != nil {
		c.fail("%s: %w", DocumentName, err)
	}
	if _, twice := c.files[f.Digest]; twice {
		c.fail("%s lists %s twice", DocumentName, f.Digest)
	}
	// The sum must not overflow, even with headers and padding.
	if f.Size < 0 || f.Size > limit || c.total > math.MaxInt64/2-f.Size {
		c.fail("%s lists %s with %d bytes", DocumentName, short(f.Digest.String()), f.Size)
		return
	}
	c.files[f.Digest] = false
	c.total += f.Size
}

func (c *documentChecker) manifest(m Manifest) {
	c.file(m.File, mirror.MaxManifestSize)
	c.files[m.Digest] = true
	c.belongs(m.Digest, m.MediaType, m.Repositories)
}

func (c *documentChecker) belongs(d digest.Digest, mediaType string, repos []string) {
	c.texts(mediaType)
	if mediaType == "" || len(repos) == 0 {
		c.fail("%s lists the manifest %s without its media type or repositories", DocumentName, short(d.String()))
	}
	for _, repo := range repos {
		if !c.repos[repo] {
			c.fail("%s has %s in the repository %q, which it does not list", DocumentName, short(d.String()), short(repo))
		}
	}
}

func (c *documentChecker) assumed(a Assumed) {
	total := c.total
	c.file(a.File, math.MaxInt64)
	c.total = total // it is not in the tar
	c.texts(a.Bundle)
	if a.MediaType != "" || len(a.Repositories) > 0 {
		c.files[a.Digest] = true
		c.belongs(a.Digest, a.MediaType, a.Repositories)
	}
}

func (c *documentChecker) images(images []Image) {
	type name struct {
		repo, tag string
		d         digest.Digest
	}
	seen := map[name]bool{}
	for _, image := range images {
		key := name{repo: image.Repository, tag: image.Tag}
		if image.Tag == "" {
			key.d = image.Digest
		} else if !mirror.ValidTag(image.Tag) {
			c.fail("%s has the tag %q", DocumentName, short(image.Tag))
		}
		if seen[key] {
			c.fail("%s has %s:%s twice", DocumentName, short(image.Repository), short(image.Tag))
		}
		seen[key] = true
		if !c.repos[image.Repository] {
			c.fail("%s has an image in the repository %q, which it does not list", DocumentName, short(image.Repository))
		}
		if !c.files[image.Digest] {
			c.fail("%s has the image %s:%s, whose manifest %q is neither in the bundle nor assumed",
				DocumentName, short(image.Repository), short(image.Tag), short(image.Digest.String()))
		}
		if image.Size < 0 || image.New < 0 {
			c.fail("%s has the image %s:%s with %d bytes, %d new", DocumentName, image.Repository, image.Tag, image.Size, image.New)
		}
		c.texts(append(slices.Clone(image.Platforms), image.Why, image.Origin, image.Subject.String())...)
	}
}

// short truncates untrusted text for an error message.
func short(s string) string {
	const limit = 120
	if len(s) > limit {
		return s[:limit] + "…"
	}
	return s
}
