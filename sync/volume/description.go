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

// FormatVersion is the version of [Description] that this program writes; it reads no later one.
const FormatVersion = 1

const (
	checksumSize = 4
	// maxDescriptionSize is how large a file with a description may be: the checksums of the largest volume, in base64, and
	// some text.
	maxDescriptionSize = MaxSize/BlockSize*checksumSize/3*4 + 64<<10
	// maxTextLength is how long Bundle and Title may be.
	maxTextLength = 1000
)

// castagnoli is the polynomial of CRC-32C, which processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Description is what is known about a volume, and the JSON beside it.
type Description struct {
	Version int    `json:"version"` // FormatVersion
	File    string `json:"file"`    // the name of the volume's file, without folders
	Number  int    `json:"number"`  // of the volume, from 1
	// Of is how many volumes there are. It may be 0, unknown, in all volumes but the last.
	Count int `json:"of,omitempty"`
	// Bundle and Title are for people and for who wrote the volume: one line each, of at most 1000 bytes.
	Bundle string `json:"bundle,omitempty"`
	Title  string `json:"title,omitempty"`
	Offset int64  `json:"offset"` // of the volume's first byte in the stream
	Size   int64  `json:"size"`   // in bytes
	// Digest is the SHA-256 of the volume.
	Digest digest.Digest `json:"digest"`
	// BlockSize is [BlockSize]. Blocks has the CRC-32C of each block of that size, in four bytes, the highest first, as
	// base64 in JSON. They say where damage is: that there is none is for Digest to say.
	BlockSize int64  `json:"blockSize"`
	Blocks    []byte `json:"crc32c"`
}

// Last reports whether the volume is known to be the last one.
func (d Description) Last() bool { return d.Number == d.Count }

// Follows returns nil if d is the volume that comes after before, of the same stream.
func (d Description) Follows(before Description) error {
	switch {
	case d.File != Next(before.File):
		return fmt.Errorf("volume %s does not come after %s", d.File, before.File)
	case d.Bundle != before.Bundle:
		return fmt.Errorf("volume %s is of bundle %q, and %s of %q: they do not belong together",
			d.File, d.Bundle, before.File, before.Bundle)
	case d.Offset != before.Offset+before.Size || d.Count != before.Count && before.Count != 0:
		return fmt.Errorf("volume %s does not continue %s: they are of different exports", d.File, before.File)
	}
	return nil
}

// readDescription reads what is known about the volume in path: nothing, if there is no description beside it.
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
		return nil, fmt.Errorf("%s cannot be used to check volume %s: %w: copy it again, or remove it to read the volume unchecked",
			descriptionPath, filepath.Base(path), err)
	}
	return &d, nil
}

// BundleOf returns the ID of the bundle that the volume in path is of, as the description of another volume beside it
// says; "" if none does. It is for volumes that have lost their own: all of one bundle are to be known by the same name.
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

// readRegular reads a file of at most maxDescriptionSize bytes, if it is one: opening a pipe could take for ever.
func readRegular(path string) ([]byte, error) {
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
	text, err := io.ReadAll(io.LimitReader(file, maxDescriptionSize+1))
	if err == nil && len(text) > maxDescriptionSize {
		return nil, fmt.Errorf("it is larger than %d KiB", maxDescriptionSize>>10)
	}
	return text, err
}

// parseDescription reads the description of the volume in a file of that name, and believes nothing in it.
func parseDescription(text []byte, file string) (Description, error) {
	var version struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return Description{}, err
	}
	if version.Version != FormatVersion {
		return Description{}, fmt.Errorf("it has format %d, and this program reads format %d", version.Version, FormatVersion)
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

// check says what is wrong with a description of the volume in a file of that name.
func (d Description) check(file string) error {
	_, number, digits, ok := parse(file)
	switch {
	case !ok || d.File != file || d.Number != number:
		return fmt.Errorf("it describes volume %d, %.200q", d.Number, d.File)
	case d.Count != 0 && (d.Count < d.Number || d.Count > maxNumber(digits)):
		return fmt.Errorf("it says that this is volume %d of %d", d.Number, d.Count)
	case d.Size < 0 || d.Size > MaxSize:
		return fmt.Errorf("it says that the volume has %d bytes", d.Size)
	case d.Offset < 0 || d.Offset > MaxSize*int64(d.Number-1) || d.Number == 1 && d.Offset != 0:
		return fmt.Errorf("it says that volume %d begins at byte %d", d.Number, d.Offset)
	case d.BlockSize != BlockSize || int64(len(d.Blocks)) != blockCount(d.Size)*checksumSize:
		return fmt.Errorf("it has %d bytes of checksums for blocks of %d bytes of %d", len(d.Blocks), d.BlockSize, d.Size)
	case d.Digest.Validate() != nil || d.Digest.Algorithm() != digest.SHA256:
		return fmt.Errorf("it has no SHA-256 but %.100q", d.Digest)
	}
	return errors.Join(checkText("bundle", d.Bundle), checkText("title", d.Title))
}

// checkText keeps out what could make a terminal do things, or show others than are there.
func checkText(name, text string) error {
	invisible := func(r rune) bool { return !unicode.IsGraphic(r) }
	if len(text) > maxTextLength || !utf8.ValidString(text) || strings.ContainsFunc(text, invisible) {
		return fmt.Errorf("its %s is not one line of at most %d bytes: %.100q", name, maxTextLength, text)
	}
	return nil
}

// blockCount is how many blocks there are in size bytes.
func blockCount(size int64) int64 { return (size + BlockSize - 1) / BlockSize }
