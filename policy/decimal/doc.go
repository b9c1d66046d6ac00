// Package decimal reads whole numbers, and reads and writes a float64, in decimal digits, exactly: what is read is the nearest float64, and
// what is written has the fewest digits that are read as the same one.
//
//	Parse("1.67")                 167 / 10^2, which one division rounds right
//	Parse("0.12345678901234567")  long division, bit by bit
//	Append(nil, 0.1)              1 / 10^1 is the same number: 0.1
//	Whole("200")                  a status or a length, of digits alone
//	Append(nil, 5e-324)           17 digits by long multiplication, then as few of them as suffice
//
// strconv does the same, faster, by tables of powers of ten: they and its code are 25 KB of the module, and this package some 3.
package decimal
