package files

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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

// editState changes the saved state of a blob, as [Open] will read it.
func editState(t *testing.T, f *Files, id string, edit func(*state)) {
	t.Helper()
	edited := *f.states.get(id)
	edit(&edited)
	if err := f.states.save(&edited); err != nil {
		t.Fatal(err)
	}
}

// overwriteState writes over the beginning of the saved state of a blob, in the file only.
func overwriteState(t *testing.T, f *Files, id, data string) {
	t.Helper()
	if _, err := f.states.file.WriteAt([]byte(data), f.states.saved[id].slot*slotSize); err != nil {
		t.Fatal(err)
	}
}

// TestResume changes the file of a suspended blob, and checks whether its content was hashed again or the saved hash
// was used.
func TestResume(t *testing.T) {
	const written, changed = "0123456789", "x123456789"
	otherBoot := func(s *state) { s.Boot = "another" }
	nothing := func(*state) {}
	for _, test := range []struct {
		name string
		file string
		edit func(*state)
		want string // content by its hash
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

// TestResumeLarge hashes a file that is larger than a buffer.
func TestResumeLarge(t *testing.T) {
	f := open(t, t.TempDir())
	data := bytes.Repeat([]byte("0123456789abcdef"), 3*bufferSize/16+1)
	w := create(t, f, "upload", string(data))
	if err := w.Suspend(); err != nil {
		t.Fatal(err)
	}
	editState(t, f, w.id, func(s *state) { s.Boot = "another" })
	f = open(t, f.root)
	if err := resume(t, f, w.id).Commit(t.Context(), digest.FromBytes(data)); err != nil {
		t.Error(err)
	}
}

func TestOpenCleansIncoming(t *testing.T) {
	f := open(t, t.TempDir())
	suspended, unfinished := create(t, f, "", "data"), create(t, f, "upload", "data")
	if err := suspended.Suspend(); err != nil {
		t.Fatal(err)
	}
	create(t, f, "", "data") // without a label
	damaged, negative := create(t, f, "upload", "data"), create(t, f, "upload", "data")
	editState(t, f, negative.id, func(s *state) { s.Offset = -1 })
	empty, bodiless := create(t, f, "upload", ""), create(t, f, "upload", "data") // neither has a file with content at the end
	if err := bodiless.Suspend(); err != nil {
		t.Fatal(err)
	}
	overwriteState(t, f, damaged.id, "{}")
	for name, data := range map[string]string{
		uuid.NewString():                  "data without a state",
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
	f = open(t, f.root)
	wantIncoming(t, f, suspended.id, unfinished.id)
	wantStates(t, f, suspended.id, unfinished.id, empty.id)
	for _, w := range []*writer{damaged, negative, bodiless} {
		if _, err := f.Resume(t.Context(), w.id); mirror.CodeOf(err) != mirror.CodeBlobUploadUnknown {
			t.Errorf("Resume of a blob that was cleaned up: %v", err)
		}
	}
	if err := resume(t, f, empty.id).Commit(t.Context(), digest.FromString("")); err != nil {
		t.Error(err)
	}
}

// TestSuspendFails checks that the previous state remains if no new one can be saved.
func TestSuspendFails(t *testing.T) {
	for _, label := range []string{"", "upload"} {
		f := open(t, t.TempDir())
		w := create(t, f, label, "data")
		readOnly, err := os.OpenFile(f.incoming(statesFile), os.O_RDONLY|os.O_CREATE, fileMode)
		if err != nil {
			t.Fatal(err)
		}
		defer readOnly.Close()
		writable := f.states.file // nil without a label
		f.states.file = readOnly
		if err := w.Suspend(); err == nil {
			t.Error("Suspend succeeded")
		}
		f.states.file = writable
		if label == "" {
			wantIncoming(t, f)
			wantStates(t, f)
		} else if size := resume(t, f, w.id).Size(); size != 0 {
			t.Errorf("resumed with size %d", size)
		}
	}
}

// TestResumeRefusesHardLinkedFile has a suspended blob with a second name, as a file system may leave it after power
// loss. Its content must not change.
func TestResumeRefusesHardLinkedFile(t *testing.T) {
	f := open(t, t.TempDir())
	w := create(t, f, "upload", "data")
	if err := w.Suspend(); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(f.root, "other")
	if err := os.Link(f.incoming(w.id), other); err != nil {
		t.Skip(err)
	}
	editState(t, f, w.id, func(s *state) { s.Offset = 2 })
	if _, err := f.Resume(t.Context(), w.id); mirror.CodeOf(err) != mirror.CodeBlobUploadUnknown {
		t.Errorf("Resume: %v", err)
	}
	if got, err := os.ReadFile(other); err != nil || string(got) != "data" {
		t.Errorf("its content is %q, %v", got, err)
	}
}

func TestNoFileBeforeFirstWrite(t *testing.T) {
	f := open(t, t.TempDir())
	w := create(t, f, "upload", "")
	wantIncoming(t, f)
	if err := w.Suspend(); err != nil {
		t.Fatal(err)
	}
	w = resume(t, f, w.id)
	wantIncoming(t, f)
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	wantIncoming(t, f, w.id)
}

// TestPushCreatesOneFile keeps small pushes cheap: an upload in several requests creates and deletes no file besides its
// content, and does not write a state that is current.
func TestPushCreatesOneFile(t *testing.T) {
	f := open(t, t.TempDir())
	for range 3 { // one upload after another uses the same slot
		w := create(t, f, "upload", "")
		for _, chunk := range []string{"", "a", "", "b"} {
			before := f.states.get(w.id)
			if _, err := w.Write([]byte(chunk)); err != nil {
				t.Fatal(err)
			}
			if err := w.Suspend(); err != nil {
				t.Fatal(err)
			}
			if written := f.states.get(w.id) != before; written != (chunk != "") {
				t.Errorf("state written after chunk %q: %v", chunk, written)
			}
			w = resume(t, f, w.id)
		}
		wantIncoming(t, f, w.id)
		if err := w.Commit(t.Context(), digest.FromString("ab")); err != nil {
			t.Error(err)
		}
		wantIncoming(t, f)
		wantStates(t, f)
	}
	if info, err := os.Stat(f.incoming(statesFile)); err != nil || info.Size() > slotSize {
		t.Errorf("the file of states has %d bytes, want one slot (%v)", info.Size(), err)
	}
	open(t, f.root)
	if info, err := os.Stat(f.incoming(statesFile)); err != nil || info.Size() != 0 {
		t.Errorf("the file of states has %d bytes after the next start, want none (%v)", info.Size(), err)
	}
}

// TestStatesSurviveReopening begins and ends uploads in an order that leaves gaps between them.
func TestStatesSurviveReopening(t *testing.T) {
	f := open(t, t.TempDir())
	var uploads []*writer
	var want []string
	for i := range 6 {
		w := create(t, f, strings.Repeat("x", 300), fmt.Sprint("data ", i))
		if err := w.Suspend(); err != nil {
			t.Fatal(err)
		}
		uploads = append(uploads, w)
	}
	for i, w := range uploads {
		if i%2 == 0 {
			if err := resume(t, f, w.id).Abort(); err != nil {
				t.Fatal(err)
			}
		} else {
			want = append(want, w.id)
		}
	}
	for range 2 {
		f = open(t, f.root)
		wantStates(t, f, want...)
		w := create(t, f, "upload", "") // takes a gap
		want = append(want, w.id)
	}
	for i, w := range uploads {
		if i%2 == 0 {
			continue
		}
		if err := resume(t, f, w.id).Commit(t.Context(), digest.FromString(fmt.Sprint("data ", i))); err != nil {
			t.Error(err)
		}
	}
}

// TestPartlyOverwrittenState truncates states at every byte, and mixes two of them at every byte. Only complete
// states are accepted.
func TestPartlyOverwrittenState(t *testing.T) {
	id := uuid.NewString()
	encode := func(offset int64, hash string) []byte {
		record, err := (&state{ID: id, Algorithm: digest.SHA256, Offset: offset, Hash: []byte(hash), Boot: "boot"}).encode()
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	a, b := encode(1000, "0123456789"), encode(20_020, "a longer one")
	for _, pair := range [][2][]byte{{a, encode(2001, "abcdefghij")}, {a, b}, {b, a}} {
		old, new := pair[0], pair[1]
		for n := range len(new) {
			if _, err := decodeState(new[:n]); !errors.Is(err, errBadState) {
				t.Errorf("%d of %d bytes are accepted: %v", n, len(new), err)
			}
			torn := append(slices.Clone(new[:n]), old[min(n, len(old)):]...)
			if bytes.HasPrefix(torn, old) || bytes.HasPrefix(torn, new) {
				continue // the mixture equals one of the states
			}
			if s, err := decodeState(torn); !errors.Is(err, errBadState) {
				t.Errorf("%d bytes of one and the rest of another state are accepted: %v, %v", n, s, err)
			}
		}
	}
	complete := append(slices.Clone(a), b[len(a):]...) // a shorter one over a longer one
	if s, err := decodeState(complete); err != nil || s.Offset != 1000 {
		t.Errorf("a complete state is %v, %v", s, err)
	}
}
