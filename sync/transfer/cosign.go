package transfer

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
	"airmirror/sync/bundle"
)

// placeCosign adds what cosign saved about images to their repositories, under the tags that cosign looks for. which
// are the indexes of these roots.
func (in *importer) placeCosign(ctx context.Context, t *imageTree, roots []bundle.Root, branches []*node, which []int) (found []foundImage, err error) {
	taken := make(map[mirror.Ref]*node)
	images := imagesByName(roots, branches)
	for _, i := range which {
		b := branches[i]
		if b.err != nil {
			in.skip(b.digest.String(), "the archive lacks a part of it: "+b.err.Error())
			continue
		}
		subject, err := images.subject(ctx, t, roots[i], b)
		if err != nil {
			return nil, err
		}
		if subject == nil || len(subject.repos) == 0 {
			in.skip(b.digest.String(), reasonSubjectSkipped)
			continue
		}
		for _, repo := range slices.Clone(subject.repos) {
			ref := mirror.Ref{Repo: repo, Tag: cosignTag(subject.digest, roots[i].CosignSuffix)}
			if other := taken[ref]; other != nil {
				if other != b {
					in.skip(b.digest.String(), "its name would be "+ref.String()+", which is the name of "+other.digest.String())
				}
				continue
			}
			taken[ref] = b
			if err := t.addTo(b, repo); err != nil {
				return nil, err
			}
			found = append(found, foundImage{ref: ref, node: b, why: bundle.WhyReferrer})
		}
	}
	return found, nil
}

// cosignTag returns the tag under which cosign stores what refers to subject.
func cosignTag(subject digest.Digest, suffix string) string {
	return strings.Replace(subject.String(), ":", "-", 1) + suffix
}

// byName are the imported images of an archive by their names in it.
type byName map[string][]*node

func imagesByName(roots []bundle.Root, branches []*node) byName {
	images := make(byName)
	seen := make(map[*node]bool)
	for i, root := range roots {
		b := branches[i]
		if root.CosignSuffix != "" || len(b.repos) == 0 {
			continue
		}
		if !seen[b] {
			seen[b] = true
			images[anyName] = append(images[anyName], b)
		}
		if key := nameKey(root); key != "" {
			images[key] = append(images[key], b)
		}
	}
	return images
}

const anyName = "\x00"

func nameKey(root bundle.Root) string {
	return strings.Join(append([]string{root.Tag}, root.Names...), "\n")
}

// subject returns the image that a root refers to: the one that its content names, or else the one with the same name,
// or else the only image. It returns nil if there is none.
func (n byName) subject(ctx context.Context, t *imageTree, root bundle.Root, b *node) (*node, error) {
	d, err := signedSubject(ctx, t, b)
	if err != nil {
		return nil, err
	}
	if d != "" {
		return t.seen[d], nil
	}
	for _, key := range []string{nameKey(root), anyName} {
		if len(n[key]) == 1 {
			return n[key][0], nil
		}
	}
	return nil, nil
}

// maxStatement is the maximum size of a signed statement that is read.
const maxStatement = 1 << 20

// signedSubject returns the digest of the image that a signature or attestation names, or an empty digest.
func signedSubject(ctx context.Context, t *imageTree, b *node) (digest.Digest, error) {
	for _, desc := range b.blobs {
		if desc.Size > maxStatement || !strings.Contains(desc.MediaType, "simplesigning") && !strings.Contains(desc.MediaType, "dsse") {
			continue
		}
		data, err := t.content.readManifest(ctx, desc.Digest)
		if isFault(err) {
			return "", err
		}
		if d := subjectIn(data); d != "" {
			return d, nil
		}
	}
	return "", nil
}

// subjectIn reads the payload of a signature, or an envelope with a statement.
func subjectIn(data []byte) digest.Digest {
	var payload struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
		Payload []byte `json:"payload"` // base64
	}
	if json.Unmarshal(data, &payload) != nil {
		return ""
	}
	if d, err := mirror.ParseDigest(payload.Critical.Image.Digest); err == nil {
		return d
	}
	var statement struct {
		Subject []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if json.Unmarshal(payload.Payload, &statement) != nil || len(statement.Subject) == 0 {
		return ""
	}
	d, err := mirror.ParseDigest("sha256:" + statement.Subject[0].Digest["sha256"])
	if err != nil {
		return ""
	}
	return d
}
