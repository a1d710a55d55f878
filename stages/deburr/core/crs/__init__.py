"""Systems of coordinates by their texts alone: parsed, named, compared, and made longitudes where that is simple."""
