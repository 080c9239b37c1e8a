// Package volume splits a stream of bytes into several files, which fit on the media that carry them, and reads the files
// back. It does not know what the stream contains.
//
// # Files
//
// The volumes of the stream bundle.tar are bundle.tar.001, bundle.tar.002 and so on. They contain the stream and nothing
// more: cat bundle.tar.* prints it. Numbers have three digits, or more if the size of the stream is known and it needs
// more than 999 volumes, so that the shell sorts the names in the order of the volumes.
//
// Next to each volume is its [Description], bundle.tar-001.json, a name that the pattern above does not match. It contains
// the checksums by which [Reader] finds damage. A volume without a description can be read, but not checked. A
// description proves nothing about the origin of a volume, because anyone who can change the volume can change both.
//
// A volume is written as bundle.tar-part. When it is full, the file is synced and renamed, after its description was
// written. A file with its final name is therefore complete. If a process is killed, the next [Create] reuses the part.
//
// # Design
//
// About 2,000 lines exist only because bundles come in volumes: this package, state.go, split.go and volume*.go of package
// transfer, the Continue function of package bundle, and the partial blobs of package cache. Designs with a third of it
// were considered. Each of them gives up something that users rely on:
//
//   - Volumes that end between two blobs need no partial blobs. A blob that is larger than a volume could then not be
//     exported, and images with layers larger than a DVD or the 4 GiB of FAT32 are common.
//   - Volumes that are archives by themselves need no state between two imports. Their concatenation is not the plain
//     bundle then, or it contains its document once for each volume.
//   - Importing only when all volumes have arrived needs no state in the store. It needs room for two copies of the bundle
//     on the destination.
//   - Keeping the unfinished end of a volume as plain bytes, and reading it again in front of the next volume, needs no
//     split blobs. A blob that spans ten volumes is then written twice and needs twice its size.
//
// What remains is the naming and publishing of files, the checks of descriptions, which are untrusted input, and the
// progress of an import that survives restarts. A third of this package also writes plain bundles: [Create] with size 0.
//
// # Parity
//
// [Options.Parity] adds parity volumes, bundle.tar-parity-1 and so on, whose names the pattern above does not match. The volumes
// do not change. Volume i is shard i of a Reed-Solomon code over GF(2^8), padded with zeros to the size of the largest one, and
// byte n of a parity volume is computed from byte n of each volume. Next to each parity volume is its description, [Parity],
// which contains those of all volumes. The checksums of blocks say which blocks of which volumes are wrong, so that [Repair]
// needs only one parity volume for volumes that are damaged in different places. Encoding and repairing read all volumes side by
// side in small pieces: the memory depends on the number of volumes, and not on their sizes.
//
// The parity of a plain file has another format, see package parity.
//
// A volume in the middle of a stream cannot be encoded before the others exist, so that Close reads the volumes again.
package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// BlockSize is the size of a block in bytes. Each block has a checksum. The last block of a volume may be smaller.
	BlockSize = 1 << 20
	// MaxSize is the maximum size of a volume in bytes. It bounds the memory that a description needs.
	MaxSize = 1 << 40

	minDigits, maxDigits = 3, 6
)

// Parse splits the file name of a volume, FILE.001, into FILE, without folders, and the number. ok is false if path is not
// the name of a volume. Parse does not access the file.
func Parse(path string) (name string, number int, ok bool) {
	prefix, number, _, ok := parse(path)
	if !ok {
		return "", 0, false
	}
	return filepath.Base(prefix), number, true
}

// parse is like Parse, but returns FILE with its folders, and the number of digits.
func parse(path string) (prefix string, number, digits int, ok bool) {
	base := filepath.Base(path)
	dot := strings.LastIndexByte(base, '.')
	digits = len(base) - dot - 1
	if dot < 1 || digits < minDigits || digits > maxDigits || !strings.HasSuffix(path, base) {
		return "", 0, 0, false
	}
	for _, c := range base[dot+1:] {
		if c < '0' || c > '9' {
			return "", 0, 0, false
		}
	}
	number, err := strconv.Atoi(base[dot+1:])
	return path[:len(path)-digits-1], number, digits, err == nil && number > 0
}

// File returns the path of the volume with that number in the same set as the volume path. It returns "" if path is not
// the name of a volume, or if the digits of path do not suffice for number.
func File(path string, number int) string {
	prefix, _, digits, ok := parse(path)
	if !ok || number < 1 || number > maxNumber(digits) {
		return ""
	}
	return fileName(prefix, number, digits)
}

// Next returns the path of the volume after the volume path, or "" as [File] does. The volume may not exist.
func Next(path string) string {
	_, number, _, _ := parse(path)
	return File(path, number+1)
}

// DescriptionPath returns the path of the description of the volume path, or "" if path is not the name of a volume.
func DescriptionPath(path string) string {
	prefix, number, digits, ok := parse(path)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s-%0*d.json", prefix, digits, number)
}

// List returns path and the volumes that follow it, in order, up to the first one that does not exist. If path is not the
// name of a volume, List returns path alone. It returns an error if path does not exist.
func List(path string) ([]string, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("list volumes: %w", err)
	}
	list := []string{path}
	for path = Next(path); path != ""; path = Next(path) {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("list volumes: %w", err)
		}
		list = append(list, path)
	}
	return list, nil
}

func fileName(prefix string, number, digits int) string {
	return fmt.Sprintf("%s.%0*d", prefix, digits, number)
}

// maxNumber returns the largest number with that many digits.
func maxNumber(digits int) int {
	n := 1
	for range digits {
		n *= 10
	}
	return n - 1
}
