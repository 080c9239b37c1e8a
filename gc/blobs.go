package gc

import (
	"context"
	"errors"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

// blobs are all stored files, ordered by digest. They are found by the first eight bytes of the digest. Digests with
// equal prefixes are kept in full: a client that pushes can construct two of them.
type blobs struct {
	list[blob]
	sha512     int32                   // index of the first blob with a SHA-512 digest
	collisions map[digest.Digest]int32 // indexes of the blobs that share their prefix with another
	// graceStart is the latest use of the unreferenced blobs that only the grace period keeps.
	graceStart time.Time
}

// blob is a stored file, of a manifest or of a blob.
type blob struct {
	prefix     uint64 // of its digest
	size       int64
	users      int32 // manifests that name it or are stored in it, and were not loaded (yet)
	lastImage  int32 // the last image that needs it; noImage if none does
	keep       bool  // it is in use by a transfer or was used within the grace period
	referenced bool  // a manifest names it, or it is a manifest
	inGrace    bool  // it was used within the grace period, and nothing else keeps it
	collides   bool  // another blob has the same prefix
	counted    bool  // a sum contains it already
}

// noImage is the image of a blob or a node that no image contains.
const noImage int32 = -1

var errOrder = errors.New("the store does not list blobs in the order of their digests")

// loadBlobs reads all blobs of a survey. Unreadable records are left out and added to errs.
func loadBlobs(ctx context.Context, s mirror.Survey, cutoff time.Time, errs *errorList) (*blobs, error) {
	b := &blobs{sha512: -1}
	var before []byte
	for found, err := range s.Blobs() {
		if errs.add(err) {
			continue
		}
		if b.n%chunkSize == 0 && ctx.Err() != nil {
			break
		}
		d := found.Digest
		if string(d) <= string(before) {
			return nil, errOrder
		}
		if b.sha512 < 0 && d.Algorithm() == digest.SHA512 {
			b.sha512 = int32(b.n)
		}
		young, protected := !found.Used.Before(cutoff), s.Protected(d)
		added := blob{prefix: prefixOf(d), size: found.Size, lastImage: noImage, users: int32(found.Users), keep: young || protected, referenced: found.Users > 0}
		if added.inGrace = young && !protected; added.inGrace && !added.referenced && found.Used.After(b.graceStart) {
			b.graceStart = found.Used
		}
		if index := int32(b.n); index > 0 && index != b.sha512 && b.at(index-1).prefix == added.prefix {
			if b.collisions == nil {
				b.collisions = make(map[digest.Digest]int32)
			}
			added.collides, b.at(index-1).collides = true, true
			b.collisions[digest.Digest(before)], b.collisions[digest.Digest(strings.Clone(string(d)))] = index-1, index
		}
		b.add(added)
		before = append(before[:0], d...)
	}
	if b.sha512 < 0 {
		b.sha512 = int32(b.n)
	}
	return b, ctx.Err()
}

// prefixOf returns the first eight bytes of a digest.
func prefixOf(d digest.Digest) uint64 {
	encoded := string(d)[strings.IndexByte(string(d), ':')+1:]
	prefix, _ := strconv.ParseUint(encoded[:min(16, len(encoded))], 16, 64)
	return prefix
}

// find returns the index of the blob with digest d, or -1 if it is not stored.
func (b *blobs) find(d digest.Digest) int32 {
	from, to := int32(0), b.sha512
	if d.Algorithm() == digest.SHA512 {
		from, to = b.sha512, int32(b.n)
	}
	prefix := prefixOf(d)
	index := from + int32(sort.Search(int(to-from), func(i int) bool { return b.at(from+int32(i)).prefix >= prefix }))
	if index == to || b.at(index).prefix != prefix {
		return -1
	}
	if b.at(index).collides {
		if index, ok := b.collisions[d]; ok {
			return index
		}
		return -1
	}
	return index
}
