package volume

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"

	"airmirror/mirror/durable"
)

// shardWriter writes a parity volume, or a volume that is rebuilt, piece by piece with its checksums.
type shardWriter struct {
	temp   *tempFile
	hash   hash.Hash
	crc    uint32
	blocks []byte
}

// newShardWriter creates the file that becomes path. Its name is not that of a volume.
func newShardWriter(path string) (*shardWriter, error) {
	temp, err := newTempFile(path)
	return &shardWriter{temp: temp, hash: sha256.New()}, err
}

// write writes a piece. All pieces but the last have pieceSize bytes.
func (w *shardWriter) write(piece []byte) error {
	w.hash.Write(piece)
	w.crc = crc32.Update(w.crc, castagnoli, piece)
	if err := w.temp.write(piece); err != nil {
		return err
	}
	if w.temp.size%BlockSize == 0 {
		w.endBlock()
	}
	return nil
}

func (w *shardWriter) endBlock() {
	w.blocks = binary.BigEndian.AppendUint32(w.blocks, w.crc)
	w.crc = 0
}

// end ends the last block and syncs the file.
func (w *shardWriter) end() error {
	if w.temp.size%BlockSize != 0 {
		w.endBlock()
	}
	return w.temp.file.Sync()
}

func (w *shardWriter) digest() digest.Digest {
	return digest.NewDigestFromBytes(digest.SHA256, w.hash.Sum(nil))
}

// writeParity reads the finished volumes again and writes the parity volumes.
func (w *Writer) writeParity() (err error) {
	code, err := newCode(len(w.described), w.opts.Parity)
	if err != nil {
		return err
	}
	files := make([]io.Reader, len(w.described))
	for i, d := range w.described {
		file, err := os.Open(filepath.Join(filepath.Dir(w.prefix), d.File))
		if err != nil {
			return err
		}
		defer file.Close()
		files[i] = file
	}
	shards := make([][]byte, len(files)+w.opts.Parity)
	for i := range shards {
		shards[i] = make([]byte, pieceSize)
	}
	var parity []*shardWriter
	defer func() {
		for _, p := range parity {
			err = errors.Join(err, p.temp.remove())
		}
	}()
	for i := range w.opts.Parity {
		p, err := newShardWriter(parityFile(w.prefix, i+1))
		if err != nil {
			return err
		}
		parity = append(parity, p)
	}
	size := w.described[0].Size
	for at := int64(0); at < size; at += pieceSize {
		n := min(pieceSize, size-at)
		for i := range shards {
			shards[i] = shards[i][:n]
		}
		for i, file := range files {
			if err := readPiece(file, shards[i]); err != nil {
				return err
			}
		}
		if err := code.Encode(shards); err != nil {
			return err
		}
		for i, p := range parity {
			if err := p.write(shards[len(files)+i]); err != nil {
				return err
			}
		}
	}
	return w.publishParity(parity)
}

// readPiece fills piece from a file, with zeros after its end.
func readPiece(file io.Reader, piece []byte) error {
	n, err := io.ReadFull(file, piece)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		clear(piece[n:])
		return nil
	}
	return err
}

// publishParity gives the parity volumes their names, after their descriptions are written.
func (w *Writer) publishParity(parity []*shardWriter) error {
	for i, p := range parity {
		if err := p.end(); err != nil {
			return err
		}
		path := parityFile(w.prefix, i+1)
		d := Parity{Volumes: w.described, Description: Description{
			Version: FormatVersion, File: filepath.Base(path), Number: i + 1, Count: len(parity), Bundle: w.opts.Bundle, Title: w.opts.Title,
			Size: p.temp.size, Digest: p.digest(), BlockSize: BlockSize, Blocks: p.blocks,
		}}
		var err error
		if d.Sum, err = d.sum(); err != nil {
			return err
		}
		text, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return err
		}
		if err := w.writeText(append(text, '\n'), path+".json"); err != nil {
			return err
		}
		if err := w.checkVacant(path); err != nil {
			return err
		}
		if err := durable.RenameTemp(p.temp.file, path); err != nil {
			return fmt.Errorf("finish %s: %w", path, err)
		}
		p.temp.renamed = true
		w.created = append(w.created, path)
		w.parity = append(w.parity, d.Description)
	}
	return nil
}
