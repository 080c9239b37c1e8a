package volume

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/opencontainers/go-digest"
)

// FormatVersion is the version of [Description] that this package writes and reads.
const FormatVersion = 1

const (
	checksumSize = 4
	// maxDescriptionSize is the maximum size of a description file in bytes: the checksums of the largest volume in base64,
	// and some text.
	maxDescriptionSize = MaxSize/BlockSize*checksumSize/3*4 + 64<<10
	// maxTextLength is the maximum length of Bundle and Title in bytes.
	maxTextLength = 1000
)

// castagnoli is the table of CRC-32C, for which processors have an instruction.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Description describes a volume. It is stored as JSON next to the volume.
type Description struct {
	Version int    `json:"version"` // FormatVersion
	File    string `json:"file"`    // name of the volume's file, without folders
	Number  int    `json:"number"`  // number of the volume, from 1
	// Count is the number of volumes. It may be 0, for unknown, in all volumes except the last one.
	Count int `json:"of,omitempty"`
	// Bundle and Title identify the stream for programs and for people. Each is one line of at most 1000 bytes.
	Bundle string `json:"bundle,omitempty"`
	Title  string `json:"title,omitempty"`
	Offset int64  `json:"offset"` // offset of the volume in the stream
	Size   int64  `json:"size"`   // in bytes
	// Digest is the SHA-256 digest of the volume.
	Digest digest.Digest `json:"digest"`
	// BlockSize is [BlockSize]. Blocks contains the CRC-32C of each block in four bytes, big-endian; in JSON it is base64.
	// The checksums locate damage. Only Digest proves that there is none.
	BlockSize int64  `json:"blockSize"`
	Blocks    []byte `json:"crc32c"`
}

// Last reports whether the volume is known to be the last one of its set.
func (d Description) Last() bool { return d.Number == d.Count }

// readDescription reads the description of the volume path. It returns nil if there is none.
func readDescription(path string) (*Description, error) {
	descriptionPath := DescriptionPath(path)
	if descriptionPath == "" {
		return nil, nil
	}
	text, err := readRegular(descriptionPath)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	var d Description
	if err == nil {
		d, err = parseDescription(text, filepath.Base(path))
	}
	if err != nil {
		return nil, fmt.Errorf("volume %[2]s cannot be checked with %[1]s: %[3]w: copy that file again, or remove it to read the volume unchecked",
			descriptionPath, filepath.Base(path), err)
	}
	return &d, nil
}

// BundleOf returns the ID of the bundle that the volume path belongs to, from the description of any volume of its set in
// the same folder. It returns "" if there is no such description. BundleOf serves volumes that lost their own description.
func BundleOf(path string) string {
	prefix, _, digits, ok := parse(path)
	if !ok {
		return ""
	}
	folder, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return ""
	}
	for _, entry := range folder {
		number, isOne := strings.CutPrefix(entry.Name(), filepath.Base(prefix)+"-")
		number, ends := strings.CutSuffix(number, ".json")
		n, err := strconv.Atoi(number)
		if !isOne || !ends || len(number) != digits || err != nil || n < 1 {
			continue
		}
		if d, err := readDescription(fileName(prefix, n, digits)); err == nil && d != nil && d.Bundle != "" {
			return d.Bundle
		}
	}
	return ""
}

// readRegular reads a regular file of at most maxDescriptionSize bytes.
func readRegular(path string) ([]byte, error) { return readLimited(path, maxDescriptionSize) }

// readLimited reads a regular file of at most limit bytes. Opening a named pipe could block for ever.
func readLimited(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(text)) > limit {
		return nil, fmt.Errorf("it is larger than %d KiB", limit>>10)
	}
	return text, err
}

// parseDescription parses and checks the description of the volume with that file name. The text is untrusted.
func parseDescription(text []byte, file string) (Description, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return Description{}, err
	}
	if version.Version != FormatVersion {
		return Description{}, fmt.Errorf("it has format version %d, and this program reads version %d", version.Version, FormatVersion)
	}
	var d Description
	if err := json.Unmarshal(text, &d); err != nil {
		return Description{}, err
	}
	if err := d.check(file); err != nil {
		return Description{}, err
	}
	return d, nil
}

// check returns what is wrong with a description of the volume with that file name.
func (d Description) check(file string) error {
	_, number, digits, ok := parse(file)
	switch {
	case !ok || d.File != file || d.Number != number:
		return fmt.Errorf("it describes volume %d, %.200q", d.Number, d.File)
	case d.Count != 0 && (d.Count < d.Number || d.Count > maxNumber(digits)):
		return fmt.Errorf("it claims to be volume %d of %d", d.Number, d.Count)
	case d.Size < 0 || d.Size > MaxSize:
		return fmt.Errorf("it claims a size of %d bytes", d.Size)
	case d.Offset < 0 || d.Offset > MaxSize*int64(d.Number-1) || d.Number == 1 && d.Offset != 0:
		return fmt.Errorf("it claims that volume %d begins at byte %d", d.Number, d.Offset)
	case d.BlockSize != BlockSize || int64(len(d.Blocks)) != blockCount(d.Size)*checksumSize:
		return fmt.Errorf("it has %d bytes of checksums for blocks of %d bytes in %d bytes", len(d.Blocks), d.BlockSize, d.Size)
	case d.Digest.Validate() != nil || d.Digest.Algorithm() != digest.SHA256:
		return fmt.Errorf("its digest %.100q is not a SHA-256", d.Digest)
	}
	return errors.Join(checkText("bundle", d.Bundle), checkText("title", d.Title))
}

// checkText rejects characters that control a terminal or are invisible on it.
func checkText(name, text string) error {
	invisible := func(r rune) bool { return !unicode.IsGraphic(r) }
	if len(text) > maxTextLength || !utf8.ValidString(text) || strings.ContainsFunc(text, invisible) {
		return fmt.Errorf("its %s is not one line of at most %d bytes: %.100q", name, maxTextLength, text)
	}
	return nil
}

// blockCount returns the number of blocks of a volume of size bytes.
func blockCount(size int64) int64 { return (size + BlockSize - 1) / BlockSize }
