package main

import (
	"fmt"
	"strconv"
	"strings"

	"airmirror/sync/parity"
	"airmirror/sync/volume"
)

// redundancy is the value of --parity: a number of volumes, or a percentage for one file.
type redundancy struct {
	volumes int
	percent float64
}

// String implements [pflag.Value].
func (r *redundancy) String() string {
	switch {
	case r.percent > 0:
		return strconv.FormatFloat(r.percent, 'f', -1, 64) + "%"
	case r.volumes > 0:
		return strconv.Itoa(r.volumes)
	}
	return ""
}

// Set implements [pflag.Value].
func (r *redundancy) Set(text string) error {
	if number, isPercentage := strings.CutSuffix(text, "%"); isPercentage {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || !(percent >= parity.MinRedundancy && percent <= parity.MaxRedundancy) {
			return fmt.Errorf("want a percentage from %d%% to %d%%", parity.MinRedundancy, parity.MaxRedundancy)
		}
		*r = redundancy{percent: percent}
		return nil
	}
	volumes, err := strconv.Atoi(text)
	if err != nil || volumes < 0 || volumes >= volume.MaxShards {
		return fmt.Errorf("want a percentage such as 5%%, or with --volume-size a number of volumes from 1 to %d", volume.MaxShards-1)
	}
	*r = redundancy{volumes: volumes}
	return nil
}

// Type implements [pflag.Value].
func (*redundancy) Type() string { return "redundancy" }
