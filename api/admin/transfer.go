package admin

import (
	"airmirror/sync/transfer"
	"airmirror/sync/volume"
)

// The requests and results of imports and exports.
type (
	ImportRequest   = transfer.ImportRequest
	ExportRequest   = transfer.ExportRequest
	TransferSummary = transfer.Summary
	ImportVolume    = transfer.Volume
	PendingImport   = transfer.PendingImport
	ExportedBundle  = transfer.ExportedBundle
)

// ParseVolume splits the file name of a volume of a bundle; see [volume.Parse].
func ParseVolume(file string) (set string, number int, ok bool) { return volume.Parse(file) }
