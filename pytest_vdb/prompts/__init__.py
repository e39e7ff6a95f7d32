"""What models are asked: versioned suites of prompts."""
