// Package fallback says which answer stands in for upstream's, as a pure function.
//
//	reason ──► on? ──no──► none: the refusal, or upstream's own answer
//	            │
//	           yes
//	            ▼
//	        default data ──► degraded mode ──► none
//
// The first that has something answers.
package fallback
