package volume_test

import (
	"bytes"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"airmirror/sync/volume"
)

// FuzzDescription checks that with any description, reading returns the volume, or a prefix of it and an error.
func FuzzDescription(f *testing.F) {
	dir, stream := memoryDir(f), content(mib+100)
	path := filepath.Join(dir, "b")
	save(f, path, stream, 2*mib, volume.Options{Bundle: "b-7", Title: "title"})
	f.Add(load(f, path+"-001.json"))
	f.Add([]byte(`{"version":1,"file":"b.001","number":1,"size":1048676,"blockSize":1048576,"crc32c":"AAAAAAAAAAA="}`))
	f.Add([]byte(`{"version":1e999}`))
	f.Fuzz(func(t *testing.T, description []byte) {
		store(t, path+"-001.json", description)
		v, err := volume.Open(path + ".001")
		if err != nil {
			return
		}
		defer v.Close()
		d, ok := v.Description()
		if !ok || d.File != "b.001" || d.Number != 1 || d.Offset != 0 || d.Size != int64(len(stream)) || len(d.Blocks) != 8 || d.Count < 0 {
			t.Errorf("accepted: %+v", d)
		}
		got, err := io.ReadAll(v)
		if !bytes.HasPrefix(stream, got) || (err == nil) != (len(got) == len(stream)) {
			t.Errorf("%d bytes and %v", len(got), err)
		}
	})
}

// FuzzRead checks that of a changed volume, only original bytes are returned, and that the change is an error.
func FuzzRead(f *testing.F) {
	dir, stream := memoryDir(f), content(2*mib+100)
	path := filepath.Join(dir, "b")
	save(f, path, stream, 3*mib, volume.Options{})
	f.Add(uint32(0), []byte{1}, uint32(2*mib+100))
	f.Add(uint32(mib), []byte("x"), uint32(2*mib+100))
	f.Add(uint32(2*mib), []byte(""), uint32(2*mib+99))
	f.Fuzz(func(t *testing.T, at uint32, change []byte, size uint32) {
		volumeBytes := make([]byte, min(size, 3*mib))
		copy(volumeBytes, stream)
		for i := range change {
			if at := int(at) + i; at < len(volumeBytes) {
				volumeBytes[at] ^= change[i]
			}
		}
		store(t, path+".001", volumeBytes)
		got, err := read(path + ".001")
		if whole := bytes.Equal(volumeBytes, stream); whole != (err == nil) || whole && len(got) != len(stream) {
			t.Errorf("intact %t: %d bytes and %v", whole, len(got), err)
		}
		if !bytes.HasPrefix(stream, got) {
			t.Error("returned bytes differ from the volume")
		}
		var damage *volume.DamagedError
		if err == nil {
			return
		}
		if !errors.As(err, &damage) || damage.First < int64(len(got)) || damage.First > damage.Last {
			t.Errorf("after %d bytes: %v", len(got), err)
		}
	})
}
