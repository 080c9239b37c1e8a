package cachetest

import (
	"errors"
	"strconv"
	"sync"
)

var storeStateTests = []storeCase{
	{"SetAndChange", func(s *storeTest) {
		s.must(s.SetState(s.ctx, "a", map[string][]byte{"x": []byte("1"), "y": []byte("2")}))
		s.must(s.SetState(s.ctx, "ab", map[string][]byte{"x": []byte("of another kind")}))
		s.must(s.ChangeState(s.ctx, "a", func(records map[string][]byte) (map[string][]byte, error) {
			if len(records) != 2 || string(records["x"]) != "1" {
				s.t.Errorf("the change begins with %q", records)
			}
			return map[string][]byte{"x": nil, "z": []byte("3")}, nil
		}))
		wrong := errors.New("wrong")
		err := s.ChangeState(s.ctx, "a", func(map[string][]byte) (map[string][]byte, error) {
			return map[string][]byte{"y": nil}, wrong
		})
		if !errors.Is(err, wrong) {
			s.t.Errorf("a failed change returned %v", err)
		}
		records, err := s.State(s.ctx, "a")
		if err != nil || len(records) != 2 || string(records["y"]) != "2" || string(records["z"]) != "3" {
			s.t.Errorf("the state is %q, %v", records, err)
		}
	}},
	{"ConcurrentChanges", func(s *storeTest) {
		const workers, each = 8, 5
		var all sync.WaitGroup
		for range workers {
			all.Go(func() { s.count("count", each) })
		}
		all.Wait()
		if records, err := s.State(s.ctx, "count"); err != nil || string(records["n"]) != strconv.Itoa(workers*each) {
			s.t.Errorf("counted %q, %v; want %d", records, err, workers*each)
		}
	}},
}

// count adds 1 to a number in a state, several times.
func (s *storeTest) count(kind string, times int) {
	for range times {
		err := s.ChangeState(s.ctx, kind, func(records map[string][]byte) (map[string][]byte, error) {
			n, _ := strconv.Atoi(string(records["n"]))
			return map[string][]byte{"n": []byte(strconv.Itoa(n + 1))}, nil
		})
		if err != nil {
			s.t.Errorf("change: %v", err)
		}
	}
}
