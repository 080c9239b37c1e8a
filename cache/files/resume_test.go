package files

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airmirror/mirror"
)

func resume(t testing.TB, f *Files, id string) *writer {
	t.Helper()
	w, err := f.Resume(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Abort() })
	return w.(*writer)
}

// editState changes the saved state of a blob.
func editState(t *testing.T, f *Files, id string, edit func(*state)) {
	t.Helper()
	s, err := f.loadState(id)
	if err != nil {
		t.Fatal(err)
	}
	edit(s)
	data, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(f.incoming(id+stateSuffix), data, fileMode)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestResume changes the file behind a suspended blob, and sees whether its bytes were hashed again or the saved hash
// was trusted.
func TestResume(t *testing.T) {
	const written, changed = "0123456789", "x123456789"
	otherBoot := func(s *state) { s.Boot = "another" }
	nothing := func(*state) {}
	for _, test := range []struct {
		name string
		file string
		edit func(*state)
		want string // what the hash says that the bytes are
	}{
		{"hash is not computed again", changed, nothing, written},
		{"bytes after the state are dropped", written + "more", nothing, written},
		{"short file is hashed", changed[:5], nothing, changed[:5]},
		{"empty file is hashed", "", nothing, ""},
		{"file from before a restart of the machine is hashed", changed, otherBoot, changed},
		{"long file from before a restart is cut and hashed", changed + "more", otherBoot, changed},
		{"damaged hash", changed, func(s *state) { s.Hash = []byte("?") }, changed},
		{"hash of another algorithm", changed, func(s *state) { s.Algorithm = digest.SHA512 }, changed},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t, t.TempDir())
			w := create(t, f, "upload", written)
			if err := w.Suspend(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(f.incoming(w.id), []byte(test.file), fileMode); err != nil {
				t.Fatal(err)
			}
			editState(t, f, w.id, test.edit)
			w = resume(t, open(t, f.root), w.id)
			if w.Size() != int64(len(test.want)) {
				t.Errorf("Size = %d, want %d", w.Size(), len(test.want))
			}
			if _, err := w.Write([]byte("end")); err != nil {
				t.Fatal(err)
			}
			if err := w.Verify(w.algorithm.FromString(test.want + "end")); err != nil {
				t.Error(err)
			}
			file := test.file[:len(test.want)] + "end"
			if got, _ := os.ReadFile(w.path); string(got) != file {
				t.Errorf("the file is %q, want %q", got, file)
			}
		})
	}
}

// TestResumeLarge hashes again what does not fit into one buffer.
func TestResumeLarge(t *testing.T) {
	f := open(t, t.TempDir())
	data := bytes.Repeat([]byte("0123456789abcdef"), 3*bufferSize/16+1)
	w := create(t, f, "upload", string(data))
	if err := w.Suspend(); err != nil {
		t.Fatal(err)
	}
	editState(t, f, w.id, func(s *state) { s.Boot = "another" })
	if err := resume(t, f, w.id).Commit(t.Context(), digest.FromBytes(data)); err != nil {
		t.Error(err)
	}
}

func TestOpenSweeps(t *testing.T) {
	f := open(t, t.TempDir())
	suspended, begun := create(t, f, "", "data"), create(t, f, "upload", "data")
	if err := suspended.Suspend(); err != nil {
		t.Fatal(err)
	}
	create(t, f, "", "data") // transient
	damaged, bodiless, negative := create(t, f, "upload", "data"), create(t, f, "upload", "data"), create(t, f, "upload", "data")
	editState(t, f, negative.id, func(s *state) { s.Offset = -1 })
	for name, data := range map[string]string{
		damaged.id + stateSuffix:          "{",
		uuid.NewString():                  "data without a state",
		uuid.NewString() + stateSuffix:    "{}",
		begun.id + newStateSuffix:         "{}",
		strings.ToUpper(uuid.NewString()): "not an id",
		"notes.txt":                       "not ours",
	} {
		if err := os.WriteFile(f.incoming(name), []byte(data), fileMode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Remove(f.incoming(bodiless.id)); err != nil {
		t.Fatal(err)
	}
	_, err := f.Resume(t.Context(), damaged.id)
	if mirror.CodeOf(err) != mirror.CodeBlobUploadUnknown {
		t.Errorf("Resume with a damaged state: %v", err)
	}
	f = open(t, f.root)
	wantIncoming(t, f, suspended.id, suspended.id+stateSuffix, begun.id, begun.id+stateSuffix)
}

// TestSuspendFailing: without a state that can be saved, the one before counts.
func TestSuspendFailing(t *testing.T) {
	for _, label := range []string{"", "upload"} {
		f := open(t, t.TempDir())
		w := create(t, f, label, "data")
		if err := os.Mkdir(f.incoming(w.id+newStateSuffix), folderMode); err != nil {
			t.Fatal(err)
		}
		if err := w.Suspend(); err == nil {
			t.Error("Suspend succeeded")
		}
		if err := remove(f.incoming(w.id + newStateSuffix)); err != nil {
			t.Fatal(err)
		}
		if label == "" {
			wantIncoming(t, f)
		} else if size := resume(t, f, w.id).Size(); size != 0 {
			t.Errorf("resumed with size %d", size)
		}
	}
}
