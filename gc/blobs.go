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

// blobs are all files that are held, in the order of their digests. To find one, eight bytes of its digest are enough,
// but for those that share them: whoever pushes can make two of these.
type blobs struct {
	list[blob]
	sha512     int32                   // place of the first of that algorithm
	collisions map[digest.Digest]int32 // those that share the prefix of another
	// newest is when the last of those that no manifest needs, and that stay for the grace time alone, was touched.
	graceStart time.Time
}

// blob is a file.
type blob struct {
	prefix     uint64 // of its digest
	size       int64
	lastImage  int32 // place of the last unit that needs it; alone if there is none
	keep       bool  // it stays for now even if nothing needs it
	referenced bool  // a manifest points at it or is it
	inGrace    bool  // if nothing needs it, it stays for the grace time alone
	collides   bool  // another one has the same prefix
	counted    bool  // for who counts each once
}

// alone is the last unit of a blob that none needs.
const noImage int32 = -1

var errOrder = errors.New("the store does not list blobs in the order of their digests")

// loadBlobs reads all blobs of a survey.
func loadBlobs(ctx context.Context, s mirror.Survey, cutoff time.Time, flaws *errorList) (*blobs, error) {
	b := &blobs{sha512: -1}
	var before []byte
	for found, err := range s.Blobs() {
		if flaws.add(err) {
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
		young, protected := !found.Fresh.Before(cutoff), s.Protected(d)
		item := blob{prefix: prefixOf(d), size: found.Size, lastImage: noImage, keep: young || protected, referenced: found.Users > 0}
		if item.inGrace = young && !protected; item.inGrace && !item.referenced && found.Fresh.After(b.graceStart) {
			b.graceStart = found.Fresh
		}
		if place := int32(b.n); place > 0 && place != b.sha512 && b.at(place-1).prefix == item.prefix {
			if b.collisions == nil {
				b.collisions = make(map[digest.Digest]int32)
			}
			item.collides, b.at(place-1).collides = true, true
			b.collisions[digest.Digest(before)], b.collisions[digest.Digest(strings.Clone(string(d)))] = place-1, place
		}
		b.add(item)
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

// find returns the place of a digest, or -1 if it is not held.
func (b *blobs) find(d digest.Digest) int32 {
	from, to := int32(0), b.sha512
	if d.Algorithm() == digest.SHA512 {
		from, to = b.sha512, int32(b.n)
	}
	prefix := prefixOf(d)
	place := from + int32(sort.Search(int(to-from), func(i int) bool { return b.at(from+int32(i)).prefix >= prefix }))
	if place == to || b.at(place).prefix != prefix {
		return -1
	}
	if b.at(place).collides {
		if twin, ok := b.collisions[d]; ok {
			return twin
		}
		return -1
	}
	return place
}
