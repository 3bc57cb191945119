// Package plot shows measurements: tables for a terminal, plots, and one HTML
// page that needs nothing beside itself.
//
// It is a function of a measure.Report. What may be claimed was decided there;
// here is only how it looks: a difference that is not claimed is a "~", not a
// number in a paler colour.
package plot
