"""The bytes of one XML document -> articles with their sections; pure, without Beam."""
