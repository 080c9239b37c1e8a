package transfer

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// receiptVersion is the version of receipts that this program writes. It reads no later version.
const receiptVersion = 1

// A receipt is a JSON object with these members in this order. Lists have one element per line.
//
//	version, mirror, host, created   ReceiptHead
//	imported                         [ImportedBundle…]
//	repositories                     [ReceiptRepository…]
//	tags                             [ReceiptTag…]
//	manifests                        [ReceiptManifest…]
//	blobs                            ["sha256:…"…], all stored content, including manifests

// ReceiptHead says which mirror wrote a receipt, and when.
type ReceiptHead struct {
	Version int       `json:"version"`
	Mirror  string    `json:"mirror"` // identity of the mirror
	Host    string    `json:"host,omitempty"`
	Created time.Time `json:"created"`
}

// ImportedBundle is the last imported bundle of a source for a destination.
type ImportedBundle struct {
	Source      string    `json:"source"`
	Destination string    `json:"destination,omitempty"`
	ID          string    `json:"id"`
	Sequence    int64     `json:"sequence"`
	Created     time.Time `json:"created"`
	Imported    time.Time `json:"imported"`
}

// ReceiptRepository is a repository with its origin.
type ReceiptRepository struct {
	Name   string        `json:"name"` // host/path
	Origin mirror.Origin `json:"origin"`
}

// ReceiptTag is a tag with the digest of its manifest.
type ReceiptTag struct {
	Repository string        `json:"repository"`
	Tag        string        `json:"tag"`
	Digest     digest.Digest `json:"digest"`
	Origin     mirror.Origin `json:"origin"`
}

// ReceiptManifest is a manifest in a repository. It may be incomplete.
type ReceiptManifest struct {
	Repository string        `json:"repository"`
	Digest     digest.Digest `json:"digest"`
	MediaType  string        `json:"mediaType"`
	Origin     mirror.Origin `json:"origin"`
	Root       bool          `json:"root,omitempty"` // it is a root, see [mirror.Catalog.Roots]
}

// WriteReceipt writes a list of the stored content from one consistent view of the index. It writes while it reads, so
// that its memory does not depend on the amount of content.
func (svc *Service) WriteReceipt(ctx context.Context, w io.Writer) error {
	identity, err := svc.Identity(ctx)
	if err != nil {
		return err
	}
	imported, err := svc.Imported(ctx)
	if err != nil {
		return err
	}
	out := &receiptWriter{w: bufio.NewWriterSize(w, 64<<10)}
	out.head(ReceiptHead{Version: receiptVersion, Mirror: identity, Host: svc.opts.Host, Created: time.Now().UTC().Truncate(time.Second)})
	out.begin("imported")
	for _, b := range imported {
		out.element(b)
	}
	out.end()
	err = svc.store.Survey(ctx, func(s mirror.Survey) error { return out.survey(ctx, s) })
	if err != nil {
		return fmt.Errorf("write the receipt: %w", err)
	}
	out.text("\n}\n")
	if out.err == nil {
		out.err = out.w.Flush()
	}
	return out.err
}

// receiptWriter writes a receipt until the first error.
type receiptWriter struct {
	w     *bufio.Writer
	first bool
	err   error
}

func (out *receiptWriter) text(s string) {
	if out.err == nil {
		_, out.err = out.w.WriteString(s)
	}
}

func (out *receiptWriter) json(v any) {
	data, err := json.Marshal(v)
	if out.err == nil {
		out.err = err
	}
	out.text(string(data))
}

// head writes the members of head as the first members of the receipt.
func (out *receiptWriter) head(head ReceiptHead) {
	data, err := json.Marshal(head)
	out.err = err
	out.text(strings.TrimSuffix(string(data), "}"))
}

func (out *receiptWriter) begin(name string) {
	out.text(",\n\"" + name + "\":[")
	out.first = true
}

func (out *receiptWriter) element(v any) {
	if !out.first {
		out.text(",")
	}
	out.first = false
	out.text("\n")
	out.json(v)
}

func (out *receiptWriter) end() { out.text("]") }

// survey writes the stored content. It must not call the store, which could wait for the end of the survey.
func (out *receiptWriter) survey(ctx context.Context, s mirror.Survey) error {
	repos := s.Repos()
	out.begin("repositories")
	for _, r := range repos {
		out.element(ReceiptRepository{r.Repo.String(), r.Origin})
	}
	out.end()
	out.begin("tags")
	for tag, err := range s.Tags() {
		if err := cmp.Or(err, out.err, ctx.Err()); err != nil {
			return err
		}
		out.element(ReceiptTag{repos[tag.Repo].Repo.String(), tag.Name, tag.Digest, tag.Origin})
	}
	out.end()
	out.begin("manifests")
	for m, err := range s.Manifests() {
		if err := cmp.Or(err, out.err, ctx.Err()); err != nil {
			return err
		}
		out.element(ReceiptManifest{repos[m.Repo].Repo.String(), m.Digest, m.MediaType, m.Origin, !m.Root.IsZero()})
	}
	out.end()
	out.begin("blobs")
	for blob, err := range s.Blobs() {
		if err := cmp.Or(err, out.err, ctx.Err()); err != nil {
			return err
		}
		out.element(blob.Digest)
	}
	out.end()
	return out.err
}

// importedStates is the kind of states about imported bundles: source/destination → ImportedBundle. Neither part
// contains a slash.
const importedStates = "bundle imported"

// Imported returns the last imported bundle of each source for each destination.
func (svc *Service) Imported(ctx context.Context) ([]ImportedBundle, error) {
	states, err := svc.store.State(ctx, importedStates)
	if err != nil {
		return nil, fmt.Errorf("read imported bundles: %w", err)
	}
	list := make([]ImportedBundle, 0, len(states))
	for key, value := range states {
		var b ImportedBundle
		if err := json.Unmarshal(value, &b); err != nil {
			return nil, fmt.Errorf("read the import record of bundle %s: %w", key, err)
		}
		list = append(list, b)
	}
	slices.SortFunc(list, func(a, b ImportedBundle) int {
		return cmp.Or(strings.Compare(a.Source, b.Source), strings.Compare(a.Destination, b.Destination))
	})
	return list, nil
}
