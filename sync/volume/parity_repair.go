package volume

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/reedsolomon"

	"airmirror/mirror"
	"airmirror/mirror/durable"
)

// Repaired is the result of [Repair]. Names are without folders.
type Repaired struct {
	Volumes int      `json:"volumes"`           // number of volumes of the set, without parity
	Parity  int      `json:"parity"`            // number of parity volumes that belong to it
	Rebuilt []string `json:"rebuilt"`           // volumes that were missing or damaged and are complete now
	Damaged []string `json:"damaged,omitempty"` // parity volumes that are missing or damaged; they are not rebuilt
}

// shard is a volume or a parity volume that is read to rebuild others.
type shard struct {
	Description
	path string
	file *os.File // nil if it cannot be opened
	bad  []bool   // by block
	all  bool     // no block is bad
}

// Repair rebuilds the missing and damaged volumes of the set that path belongs to: a volume, a parity volume, a description, or
// FILE without a number. It checks every volume. A rebuilt volume gets its name when it has the digest that its description
// says, so that parity proves nothing by itself: an import verifies the signature and every digest as it always does. The
// memory that Repair needs does not depend on the sizes of the volumes.
//
// The error is a [mirror.CodeUnsupported] if the set has no parity, and a [mirror.CodeDigestInvalid] if it has not enough.
func Repair(path string) (Repaired, error) {
	r, result, err := openRepair(path)
	if err != nil {
		return Repaired{}, err
	}
	defer r.close()
	return result, r.rebuild()
}

// Check finds what [Repair] would rebuild, and changes nothing. The error is the one that Repair returns.
func Check(path string) (Repaired, error) {
	r, result, err := openRepair(path)
	if err != nil {
		return Repaired{}, err
	}
	defer r.close()
	return result, r.enough()
}

// Lost returns the names of the volumes of the set of path that are missing or have another size than its parity says. It reads
// no volume. There are none if the set has no parity that can be read.
func Lost(path string) (names []string) {
	prefix := BundlePath(path)
	found, _ := readParities(prefix)
	if len(found) == 0 {
		return nil
	}
	for _, d := range found[0].Volumes {
		info, err := os.Stat(filepath.Join(filepath.Dir(prefix), d.File))
		if err != nil || info.Size() != d.Size {
			names = append(names, d.File)
		}
	}
	return names
}

// openRepair opens the set of a path and checks every volume.
func openRepair(path string) (*repair, Repaired, error) {
	prefix := BundlePath(path)
	found, err := readParities(prefix)
	if len(found) == 0 {
		if err != nil {
			return nil, Repaired{}, mirror.Errorf(mirror.CodeDigestInvalid, "no parity of %s is readable: %w", prefix, err)
		}
		return nil, Repaired{}, mirror.Errorf(mirror.CodeUnsupported, "%s has no parity beside it: export with --parity to be able to repair a bundle", prefix)
	}
	r := &repair{prefix: prefix, volumes: len(found[0].Volumes), parity: found[0].Count}
	if err := r.open(found); err != nil {
		r.close()
		return nil, Repaired{}, err
	}
	result := Repaired{Volumes: r.volumes, Parity: r.parity, Rebuilt: []string{}}
	for i, s := range r.shards {
		switch {
		case s.all:
		case i >= r.volumes:
			result.Damaged = append(result.Damaged, filepath.Base(s.path))
		default:
			result.Rebuilt = append(result.Rebuilt, s.File)
		}
	}
	return r, result, nil
}

// BundlePath returns FILE, with its folders, for the path of any file of its set.
func BundlePath(path string) string {
	if name, _, ok := ParseParity(path); ok {
		return filepath.Join(filepath.Dir(path), name)
	}
	base := strings.TrimSuffix(filepath.Base(path), ".json")
	if i := strings.LastIndexByte(base, '-'); i > 0 && strings.HasSuffix(path, ".json") {
		base = base[:i] + "." + base[i+1:]
	}
	if name, _, ok := Parse(base); ok {
		return filepath.Join(filepath.Dir(path), name)
	}
	return path
}

type repair struct {
	prefix          string
	volumes, parity int
	shards          []*shard // volumes, then parity volumes
}

func (r *repair) close() {
	for _, s := range r.shards {
		if s.file != nil {
			s.file.Close()
		}
	}
}

// open opens and checks all volumes and parity volumes.
func (r *repair) open(found []Parity) error {
	folder := filepath.Dir(r.prefix)
	for _, d := range found[0].Volumes {
		r.shards = append(r.shards, &shard{Description: d, path: filepath.Join(folder, d.File)})
	}
	for number := range r.parity {
		s := &shard{path: parityFile(r.prefix, number+1), Description: Description{Size: found[0].Size}}
		for _, p := range found {
			if p.Number != number+1 {
				continue
			}
			if p.Bundle != found[0].Bundle || p.Volumes[0].Digest != found[0].Volumes[0].Digest {
				return mirror.Errorf(mirror.CodeDigestInvalid, "%s is of another bundle than %s: move one of them away", p.File, found[0].File)
			}
			s.Description = p.Description
		}
		r.shards = append(r.shards, s)
	}
	for _, s := range r.shards {
		if err := s.check(); err != nil {
			return err
		}
	}
	return nil
}

// check opens the file and finds the bad blocks.
func (s *shard) check() (err error) {
	s.bad = make([]bool, blockCount(s.Size))
	for i := range s.bad {
		s.bad[i] = true
	}
	info, err := os.Stat(s.path)
	if s.Blocks == nil && s.Size > 0 || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err == nil {
		s.file, err = os.Open(s.path)
	}
	if errors.Is(err, os.ErrPermission) {
		return err
	}
	if err != nil { // it is missing, or the medium cannot find it
		return nil
	}
	sum, block, good := sha256.New(), make([]byte, BlockSize), int64(0)
	for i := range s.bad {
		at := int64(i) * BlockSize
		part := block[:min(BlockSize, s.Size-at)]
		if n, _ := s.file.ReadAt(part, at); n < len(part) { // truncated, or a bad sector
			continue
		}
		sum.Write(part)
		if crc32.Checksum(part, castagnoli) == binary.BigEndian.Uint32(s.Blocks[i*checksumSize:]) {
			s.bad[i] = false
			good++
		}
	}
	want, _ := hex.DecodeString(s.Digest.Encoded()) // it is valid
	s.all = good == blockCount(s.Size) && info.Size() == s.Size && bytes.Equal(sum.Sum(nil), want)
	if !s.all && good == blockCount(s.Size) && info.Size() == s.Size { // the checksums are right and the content is not
		for i := range s.bad {
			s.bad[i] = true
		}
	}
	return nil
}

// rebuild rebuilds the volumes that are missing or damaged.
func (r *repair) rebuild() error {
	if err := r.enough(); err != nil {
		return err
	}
	code, err := newCode(r.volumes, r.parity)
	if err != nil {
		return err
	}
	for i, s := range r.shards[:r.volumes] {
		if !s.all {
			if err := r.rebuildVolume(code, i); err != nil {
				return fmt.Errorf("rebuild %s: %w", s.File, err)
			}
		}
	}
	return nil
}

// enough returns an error if more volumes are bad in one place than parity can rebuild.
func (r *repair) enough() error {
	for block := range r.shards[0].bad {
		var bad, volumes []string
		for i, s := range r.shards {
			if block < len(s.bad) && s.bad[block] {
				bad = append(bad, filepath.Base(s.path))
				if i < r.volumes {
					volumes = append(volumes, filepath.Base(s.path))
				}
			}
		}
		if len(volumes) > 0 && len(bad) > r.parity {
			return mirror.Errorf(mirror.CodeDigestInvalid, "%s are missing or damaged in the same place (block %d), and parity rebuilds %d of them: copy %d of them again",
				strings.Join(bad, ", "), block, r.parity, len(bad)-r.parity)
		}
	}
	return nil
}

// rebuildVolume rebuilds one volume beside its name, and gives it the name when its digest is right.
func (r *repair) rebuildVolume(code reedsolomon.Encoder, target int) (err error) {
	s := r.shards[target]
	out, err := newShardWriter(s.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.temp.remove()) }()
	shards, required := make([][]byte, len(r.shards)), make([]bool, len(r.shards))
	buffers := make([]byte, pieceSize*len(r.shards))
	required[target] = true
	for at := int64(0); at < s.Size; at += pieceSize {
		for i := range r.shards {
			buffer := buffers[i*pieceSize:][:pieceSize]
			if shards[i], err = r.shards[i].piece(buffer, at); err != nil {
				return err
			}
		}
		if len(shards[target]) == 0 {
			if err := code.ReconstructSome(shards, required); err != nil {
				return err
			}
		}
		if err := out.write(shards[target][:min(pieceSize, s.Size-at)]); err != nil {
			return err
		}
	}
	if err := out.end(); err != nil {
		return err
	}
	if out.digest() != s.Digest {
		return mirror.Errorf(mirror.CodeDigestInvalid, "the result has another digest than the description says: the parity does not belong to these volumes")
	}
	return s.publish(out.temp)
}

// piece reads the piece at an offset, with zeros after the end of the volume. It returns an empty slice if the block is bad.
func (s *shard) piece(buffer []byte, at int64) ([]byte, error) {
	block := at / BlockSize
	if block >= int64(len(s.bad)) {
		clear(buffer)
		return buffer, nil
	}
	if s.bad[block] {
		return buffer[:0], nil
	}
	n := min(pieceSize, max(0, s.Size-at))
	if _, err := s.file.ReadAt(buffer[:n], at); err != nil && err != io.EOF {
		return nil, err
	}
	clear(buffer[n:])
	return buffer, nil
}

// publish writes the description of a rebuilt volume and gives the volume its name.
func (s *shard) publish(temp *tempFile) error {
	text, err := json.MarshalIndent(s.Description, "", "  ")
	if err != nil {
		return err
	}
	path := DescriptionPath(s.path)
	if err := writeSynced(path+tempSuffix, append(text, '\n')); err != nil {
		return err
	}
	if err := os.Rename(path+tempSuffix, path); err != nil {
		return err
	}
	if s.file != nil {
		s.file.Close() // some systems cannot replace open files
	}
	if err := durable.RenameTemp(temp.file, s.path); err != nil {
		return err
	}
	temp.renamed = true
	clear(s.bad)
	s.file, err = os.Open(s.path) // others may be rebuilt from it
	return errors.Join(err, durable.SyncFolder(filepath.Dir(s.path)))
}
