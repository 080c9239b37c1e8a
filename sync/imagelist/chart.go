package imagelist

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxChart is the maximal size of an unpacked chart in bytes. Helm has the same limit.
const maxChart = 100 << 20

// errEnough ends the reading of an archive.
var errEnough = errors.New("the file was found")

// IsChart reports whether path is a folder, or a file compressed with gzip, that has a Helm chart.
func IsChart(path string) bool {
	err := chartFiles(path, func(name string, _ io.Reader) error {
		if name == "Chart.yaml" {
			return errEnough
		}
		return nil
	})
	return errors.Is(err, errEnough)
}

// chartFiles calls read with the Chart.yaml and the values.yaml of a chart, in any order.
func chartFiles(path string, read func(name string, r io.Reader) error) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return packedFiles(path, read)
	}
	for _, name := range []string{"Chart.yaml", "values.yaml"} {
		file, err := os.Open(filepath.Join(path, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		err = read(name, file)
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// packedFiles is chartFiles for an archive, in which the chart is the one folder.
func packedFiles(path string, read func(name string, r io.Reader) error) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	unpacked, err := gzip.NewReader(file)
	if err != nil {
		return err
	}
	archive := tar.NewReader(io.LimitReader(unpacked, maxChart))
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		_, name, _ := strings.Cut(strings.TrimPrefix(header.Name, "./"), "/")
		if header.Typeflag == tar.TypeReg && (name == "Chart.yaml" || name == "values.yaml") {
			if err := read(name, archive); err != nil {
				return err
			}
		}
	}
}
