package prefetch

import (
	"errors"
	"fmt"

	"airmirror/mirror"
)

// Check reports what cannot be understood of a request, for who has just typed it. [Run] does not insist: it reports
// what it cannot use and fetches the rest, as is right for a list of many.
func (req Request) Check() error {
	if _, err := mirror.ParsePlatforms(req.Platforms); err != nil {
		return err
	}
	if req.Parallel < 0 {
		return errors.New("at least one blob has to be transferred at a time")
	}
	choose, err := parseSelectors(req)
	if err != nil {
		return err
	}
	for _, name := range req.Images {
		_, d, tagged, err := parseName(mirror.Names{}, name)
		if err == nil && d != "" {
			err = mirror.ValidShortDigest(d)
		}
		if err == nil && tagged && choose != nil {
			err = errHasTag
		}
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
	}
	return nil
}
