// Package volume writes a stream of bytes into several files, so that it fits on the media it is carried on, and reads
// them again, one at a time or all in order. What the stream is, is none of its business.
//
// # The files
//
// A stream that is to be called bundle.tar is in bundle.tar.001, bundle.tar.002 and so on: cat bundle.tar.* is the
// stream, to the byte. Numbers have three digits, or more if it is known beforehand that it takes more than 999 volumes:
// the shell sorts them by their letters.
//
// Beside each volume is its [Description], bundle.tar-001.json, which that pattern does not match. It travels with the
// volume, and has the checksums by which damage is found and named. Without it the volume can be read, but not checked.
// It is no proof of anything: who can change the one can change the other.
//
// A volume is written as bundle.tar-part, synced and renamed when it is full, after its description: a file that has its
// final name is whole. The part that a process left that was killed is used again by the next [Create].
package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// BlockSize is the size of what has a checksum of its own, in bytes. The last block of a volume may be smaller.
	BlockSize = 1 << 20
	// MaxSize is the largest size of a volume, in bytes. It bounds what is in memory of its description.
	MaxSize = 1 << 40

	minDigits, maxDigits = 3, 6
)

// Parse recognises the name of a volume's file, FILE.001, and returns FILE, without folders, and the number. It goes by
// the name alone.
func Parse(path string) (name string, number int, ok bool) {
	prefix, number, _, ok := parse(path)
	if !ok {
		return "", 0, false
	}
	return filepath.Base(prefix), number, true
}

// parse also returns FILE with its folders, in prefix, and how many digits the number is written with.
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

// File returns the path of volume number of the set that the volume in path is of. It is "" if path has no name of a
// volume or the set no such number.
func File(path string, number int) string {
	prefix, _, digits, ok := parse(path)
	if !ok || number < 1 || number > maxNumber(digits) {
		return ""
	}
	return fileName(prefix, number, digits)
}

// Next returns the path of the volume that comes after the one in path, or "" as [File] does. That there is one is not
// said with that.
func Next(path string) string {
	_, number, _, _ := parse(path)
	return File(path, number+1)
}

// DescriptionPath returns where the description of the volume in path is, or "" if path has no name of a volume.
func DescriptionPath(path string) string {
	prefix, number, digits, ok := parse(path)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s-%0*d.json", prefix, digits, number)
}

// List returns path and the volumes of its set that follow it, in order, as far as they are there: up to the first that
// is missing. If path has no name of a volume, it is the only one. A path that is not there is an error.
func List(path string) ([]string, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("look for volumes: %w", err)
	}
	list := []string{path}
	for path = Next(path); path != ""; path = Next(path) {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("look for volumes: %w", err)
		}
		list = append(list, path)
	}
	return list, nil
}

func fileName(prefix string, number, digits int) string {
	return fmt.Sprintf("%s.%0*d", prefix, digits, number)
}

// most is the highest number that digits can write.
func maxNumber(digits int) int {
	n := 1
	for range digits {
		n *= 10
	}
	return n - 1
}
