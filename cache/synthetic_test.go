package cache

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"airmirror/cache/backend"
	"airmirror/cache/packed"
	"airmirror/mirror"
)

// Synthetic is a large index without files. Each image has a tag, a config and layers of its own, and base layers that
// many images share.
type Synthetic struct {
	Images int
	Layers int // per image, with the config; two of them are shared
	Repos  int
	Added  time.Time
}

const syntheticBases = 50

func (y Synthetic) Repo(image int) mirror.Repo {
	return mirror.Repo{Host: "docker.io", Path: fmt.Sprintf("team%d/app%d", image%y.Repos%17, image%y.Repos)}
}

func (y Synthetic) Digest(image int) digest.Digest {
	return digest.FromString(fmt.Sprint("manifest ", image))
}

func (y Synthetic) Tag(image int) string { return fmt.Sprint("v", image/y.Repos) }

func (y Synthetic) blobs(image int) (list []digest.Digest) {
	for i := range y.Layers {
		if i < 2 {
			list = append(list, digest.FromString(fmt.Sprint("base ", (image+i)%syntheticBases)))
		} else {
			list = append(list, digest.FromString(fmt.Sprint("layer ", image, i)))
		}
	}
	return list
}

// Build writes one table after another, in key order, which is fastest.
func (y Synthetic) Build(ctx context.Context, below backend.Index) error {
	index := packed.New(below, keyLayouts)
	for _, table := range []backend.Table{tableRepos, tableBlobs, tableLinks, tableManifests, tableUses, tableTags, tableTagged, tableRecency} {
		if err := fill(ctx, index, table, y.rows(table)); err != nil {
			return err
		}
	}
	return fill(ctx, index, tableMeta, []row{{schemaKey, encode(schemaRecord{Version: schemaVersion})}})
}

type row struct {
	key   string
	value []byte
}

func encode[T any](record T) []byte {
	value, err := encodeRecord(record)
	if err != nil {
		panic(err)
	}
	return value
}

func (y Synthetic) rows(table backend.Table) (rows []row) {
	add := func(key string, value []byte) { rows = append(rows, row{key, value}) }
	for i := range y.Images {
		c := content{y.Repo(i), y.Digest(i)}
		blobs := y.blobs(i)
		switch table {
		case tableRepos:
			add(c.repo.String(), encode(repoRecord{Origin: mirror.Mirrored, Created: y.Added}))
		case tableBlobs:
			for j, d := range append(blobs, c.digest) {
				add(d.String(), encode(blobRecord{Size: int64(1000*i + j), Added: y.Added}))
			}
		case tableLinks:
			for _, d := range blobs {
				add(linkKey(c.repo, d), encode(linkRecord{Added: y.Added}))
			}
		case tableManifests:
			add(c.key(), encode(manifestRecord{
				MediaType: "application/vnd.oci.image.manifest.v1+json", Size: 1234, Origin: mirror.Mirrored,
				Added: y.Added, ArtifactType: "application/vnd.oci.image.config.v1+json", Blobs: blobs,
			}))
		case tableUses:
			for _, d := range append(blobs, c.digest) {
				add(useKey(d, c.repo, c.digest), encode(useRecord{Size: 12345}))
			}
		case tableTags:
			add(tagName{c.repo, y.Tag(i)}.key(), encode(tagRecord{Digest: c.digest, Origin: mirror.Mirrored, Updated: y.Added, Checked: y.Added}))
		case tableTagged:
			rows = append(rows, row{taggedKey(c, y.Tag(i)), emptyValue})
		case tableRecency:
			add(c.key(), encode(recencyRecord{Used: y.Added.Add(time.Duration(i) * time.Second)}))
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.key, b.key) })
	return slices.CompactFunc(rows, func(a, b row) bool { return a.key == b.key })
}

func fill(ctx context.Context, index backend.Index, table backend.Table, rows []row) error {
	for chunk := range slices.Chunk(rows, 20000) {
		err := index.Update(ctx, backend.Locks{}, func(tx backend.WriteTx) error {
			for _, r := range chunk {
				if err := tx.Put(table, r.key, r.value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
