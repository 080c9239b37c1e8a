package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/reedsolomon"
	"github.com/opencontainers/go-digest"
)

const (
	// MaxShards is the maximum number of volumes of a set, with those of parity.
	MaxShards = 256
	// pieceSize is the size of the parts of volumes that are encoded at a time, in bytes. It divides BlockSize, and bounds the
	// memory: one piece for each volume.
	pieceSize = 64 << 10
	// maxParityDescription is the maximum size of the description of a parity volume in bytes. It contains those of all
	// volumes, which have five bytes for each MiB.
	maxParityDescription = 64 << 20

	paritySuffix = "-parity-"
)

// Parity describes a parity volume. It is stored as JSON next to it. File, Number, Count, Size, Digest and Blocks are those of
// the parity volume; Count is the number of parity volumes.
type Parity struct {
	Description
	// Volumes describe all volumes of the set, in order, so that a volume can be rebuilt that was lost with its description.
	Volumes []Description `json:"volumes"`
	// Sum is the SHA-256 digest of this description without Sum. It shows damage.
	Sum digest.Digest `json:"sum,omitempty"`
}

// parityFile returns the path of a parity volume of the set with that prefix.
func parityFile(prefix string, number int) string {
	return prefix + paritySuffix + strconv.Itoa(number)
}

// ParseParity splits the file name of a parity volume, FILE-parity-1, or of its description, into FILE, without folders, and
// the number.
func ParseParity(path string) (name string, number int, ok bool) {
	base := strings.TrimSuffix(filepath.Base(path), ".json")
	i := strings.LastIndex(base, paritySuffix)
	if i < 1 {
		return "", 0, false
	}
	number, err := strconv.Atoi(base[i+len(paritySuffix):])
	if err != nil || number < 1 || number >= MaxShards || strconv.Itoa(number) != base[i+len(paritySuffix):] {
		return "", 0, false
	}
	return base[:i], number, true
}

// sum returns the digest of a description without its Sum.
func (p Parity) sum() (digest.Digest, error) {
	p.Sum = ""
	text, err := json.Marshal(p)
	return digest.FromBytes(text), err
}

// parseParity parses and checks the description of the parity volume with that file name. The text is untrusted.
func parseParity(text []byte, file string) (Parity, error) {
	var p Parity
	if err := json.Unmarshal(text, &p); err != nil {
		return p, err
	}
	_, number, ok := ParseParity(file)
	sum, err := p.sum()
	switch {
	case p.Version != FormatVersion:
		return p, fmt.Errorf("it has format version %d, and this program reads version %d", p.Version, FormatVersion)
	case err != nil || sum != p.Sum:
		return p, errors.New("it is damaged")
	case !ok || p.Number != number || p.File != file:
		return p, fmt.Errorf("it describes parity volume %d, %.200q", p.Number, p.File)
	case p.Count < p.Number || len(p.Volumes) == 0 || p.Count+len(p.Volumes) > MaxShards:
		return p, fmt.Errorf("it claims to be parity volume %d of %d for %d volumes", p.Number, p.Count, len(p.Volumes))
	}
	return p, p.checkVolumes()
}

// checkVolumes checks the descriptions of the volumes, and that all are of one set.
func (p Parity) checkVolumes() error {
	name, _, _ := ParseParity(p.File)
	for i, d := range p.Volumes {
		of, number, ok := Parse(d.File)
		if !ok || of != name || number != i+1 || d.Size > p.Volumes[0].Size || d.Bundle != p.Volumes[0].Bundle {
			return fmt.Errorf("its volume %d is %.200q of another set", i+1, d.File)
		}
		if err := d.check(d.File); err != nil {
			return err
		}
	}
	return p.checkBlocks(p.Volumes[0].Size)
}

// checkBlocks checks the fields of the parity volume itself, which has the given size.
func (p Parity) checkBlocks(size int64) error {
	if p.Size != size || p.BlockSize != BlockSize || int64(len(p.Blocks)) != blockCount(size)*checksumSize {
		return fmt.Errorf("it claims %d bytes with %d bytes of checksums", p.Size, len(p.Blocks))
	}
	if p.Digest.Validate() != nil || p.Digest.Algorithm() != digest.SHA256 {
		return fmt.Errorf("its digest %.100q is not a SHA-256", p.Digest)
	}
	return nil
}

// readParities returns the readable descriptions of the parity volumes of a set, by number. The error says why others cannot
// be read.
func readParities(prefix string) (found []Parity, err error) {
	entries, err := os.ReadDir(filepath.Dir(prefix))
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, entry := range entries {
		name, _, ok := ParseParity(entry.Name())
		if !ok || name != filepath.Base(prefix) || !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		text, err := readLimited(filepath.Join(filepath.Dir(prefix), entry.Name()), maxParityDescription)
		var p Parity
		if err == nil {
			p, err = parseParity(text, strings.TrimSuffix(entry.Name(), ".json"))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s cannot be used: %w", entry.Name(), err))
			continue
		}
		found = append(found, p)
	}
	slices.SortFunc(found, func(a, b Parity) int { return a.Number - b.Number })
	return found, errors.Join(errs...)
}

// newCode returns the Reed-Solomon code of a set. The matrix of the library's default options is part of the format.
func newCode(volumes, parity int) (reedsolomon.Encoder, error) {
	if volumes+parity > MaxShards {
		return nil, fmt.Errorf("%d volumes with %d of parity are more than %d: choose larger volumes", volumes, parity, MaxShards)
	}
	return reedsolomon.New(volumes, parity)
}
